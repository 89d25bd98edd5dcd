/** What the demo shows. */
import type { Recommendation } from "../src/browser.js";

/** A film of the catalogue. */
export interface Film {
  readonly id: string;
  readonly title: string;
  readonly kind: string;
}

/** The elements of `index.html`. */
export class Page {
  private films: readonly Film[] = [];
  private last: { readonly what: string; readonly times: number; readonly bytes: number } | undefined;
  private readonly buttons = new Map<string, HTMLButtonElement>();

  /** Makes a button of each film. */
  showFilms(films: readonly Film[]): void {
    this.films = films;
    for (const film of films) {
      const button = element("button", { type: "button", disabled: true }, film.title, kindOf(film));
      this.buttons.set(film.id, button);
      byId("films").append(element("li", {}, button));
    }
  }

  /** Says which films are recorded. */
  showRecorded(items: readonly string[], persistent: boolean): void {
    for (const [id, button] of this.buttons) {
      const chosen = items.includes(id);
      button.setAttribute("aria-pressed", String(chosen));
      button.querySelector(".mark")?.remove();
      if (chosen) button.prepend(element("span", { className: "mark", ariaHidden: "true" }, "\u2713"));
    }
    const kept = persistent ? "It keeps them until you delete them." : "It may remove them when its disk is full.";
    byId("data").textContent = `This browser keeps ${items.length} of your choices. ${kept}`;
  }

  showBest(best: readonly Recommendation[]): void {
    const films = best.map(({ item }) => this.films.find(({ id }) => id === item)!);
    byId("best").replaceChildren(...films.map((film) => element("li", {}, film.title, kindOf(film))));
  }

  /** Adds to what left the browser: to the last line, if that is of the same call. */
  showLeft(call: string, size: number, answered: boolean): void {
    byId("none").hidden = true;
    const what = answered ? call : `${call}; nobody answered, so it may not have left`;
    const same = this.last?.what === what ? this.last : undefined;
    this.last = { what, times: (same?.times ?? 0) + 1, bytes: (same?.bytes ?? 0) + size };
    const { times, bytes } = this.last;
    const line = element(
      "tr",
      {},
      element("td", {}, new Date().toLocaleTimeString()),
      element("td", {}, times === 1 ? what : `${what} (${times} times)`),
      element("td", { className: "number" }, `${answered ? "" : "up to "}${bytes.toLocaleString("en")}`),
    );
    if (same) byId("left").firstElementChild!.replaceWith(line);
    else byId("left").prepend(line);
  }

  say(text: string): void {
    byId("status").textContent = text;
  }

  /** Says that something is wrong, and that the page cannot be used. */
  fail(text: string): void {
    byId("problem").textContent = text;
    byId("problem").hidden = false;
    this.say("");
    this.enable(false);
  }

  whenChosen(work: (film: Film) => Promise<void>): void {
    for (const film of this.films) {
      const button = this.buttons.get(film.id)!;
      this.when(button, async () => {
        if (button.getAttribute("aria-pressed") !== "true") await work(film);
      });
    }
  }

  whenSynced(work: () => Promise<void>): void {
    this.when(byId("sync"), work);
  }

  whenRemoved(work: () => Promise<void>): void {
    this.when(byId("remove"), work);
  }

  private when(button: HTMLElement, work: () => Promise<void>): void {
    button.addEventListener("click", () => {
      this.enable(false);
      void work()
        .catch((error: Error) => this.say(error.message))
        .finally(() => this.enable(true));
    });
    this.enable(true);
  }

  private enable(enabled: boolean): void {
    for (const button of document.querySelectorAll("button")) button.disabled = !enabled;
  }
}

function kindOf({ kind }: Film): HTMLElement {
  return element("span", { className: "kind" }, kind);
}

function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}

function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]>,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
