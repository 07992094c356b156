/** Commands that the contract names and this version has not: known by name, so that nobody looks for a typing error. */
import { Command } from 'commander';
import { AppError } from '@tandem/core';

/** Nouns are '' where the verb stands alone. */
const NOT_YET: readonly { readonly noun: string; readonly verb: string }[] = [
  { noun: '', verb: 'drain' },
];

/** Not listed in the help text: they do nothing. */
export function addNotYet(parent: Command, noun: string): void {
  for (const { verb } of NOT_YET.filter((one) => one.noun === noun)) {
    const words = noun === '' ? verb : `${noun} ${verb}`;
    const command = new Command(verb).description('Not in this version.').argument('[arguments...]').allowUnknownOption().action(() => {
      throw new AppError('UNAVAILABLE', `${words}: not in this version`);
    });
    parent.addCommand(command, { hidden: true });
  }
}
