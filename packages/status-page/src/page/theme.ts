/** Light or dark: the system's wish until the reader chooses; the choice is kept in this browser if it lets us. */
export type Theme = 'light' | 'dark';

const KEY = 'tandem-theme';

export class ThemeSwitch {
  private readonly button: HTMLElement;
  private readonly system = matchMedia('(prefers-color-scheme: dark)');
  private readonly onChange: () => void;
  private chosen: Theme | null;

  constructor(button: HTMLElement, onChange: () => void) {
    this.button = button;
    this.onChange = onChange;
    this.chosen = stored();
    this.apply();
    this.system.addEventListener('change', () => { this.apply(); onChange(); });
    button.addEventListener('click', () => { this.choose(this.current === 'dark' ? 'light' : 'dark'); });
  }

  private get current(): Theme {
    return this.chosen ?? (this.system.matches ? 'dark' : 'light');
  }

  private choose(theme: Theme): void {
    this.chosen = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing for us: the choice lasts as long as the page.
    }
    this.apply();
    this.onChange();
  }

  private apply(): void {
    document.documentElement.dataset.theme = this.current;
    const other = this.current === 'dark' ? 'light' : 'dark';
    this.button.setAttribute('aria-label', `Switch to the ${other} theme`);
    this.button.title = `Switch to the ${other} theme`;
  }
}

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;
  }
}
