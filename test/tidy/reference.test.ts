import t from 'tap';
import { readRepositoryFile } from '../harness/repository.js';
import { SETTINGS_PAGE, SETTINGS_PAGE_COMMAND, settingsPage } from './settings-page.js';

t.test('the page of settings says what the daemons read', (t) => {
  t.equal(readRepositoryFile(SETTINGS_PAGE), settingsPage(), `write it anew: ${SETTINGS_PAGE_COMMAND}`);
  t.end();
});
