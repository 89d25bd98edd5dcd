/** The page of the demo: this browser is a device. */
import { FedClient, NoModelError, type Outcome, StoreLockedError, StoreLostError } from "../src/browser.js";
import { type Film, Page } from "./page.js";
import { watch } from "./watching.js";

const DATABASE = "fedau2 demo";
const BEST = 5;

/** What the server of the demo says. */
interface Settings {
  readonly coordinator: string;
  readonly population: string;
}

/** The device, as the page uses it. */
class Device {
  private constructor(
    private readonly settings: Settings,
    private readonly page: Page,
    private client: FedClient,
  ) {}

  static async start(settings: Settings, page: Page): Promise<void> {
    let client: FedClient;
    try {
      client = await open(settings);
    } catch (error) {
      if (!(error instanceof StoreLostError)) throw error;
      await FedClient.remove(DATABASE);
      page.say("The browser had removed your data, so you begin anew.");
      client = await open(settings);
    }
    const device = new Device(settings, page, client);
    page.whenChosen((film) => device.choose(film));
    page.whenSynced(() => device.sync());
    page.whenRemoved(() => device.remove());
    await device.show();
  }

  private async choose({ id, title }: Film): Promise<void> {
    await this.client.record(id);
    this.page.say(`${title} is recorded in this browser.`);
    await this.show();
  }

  private async sync(): Promise<void> {
    this.page.say("Syncing");
    this.page.say(said(await this.client.sync()));
    await this.show();
  }

  private async remove(): Promise<void> {
    await this.client.close();
    await FedClient.remove(DATABASE);
    this.client = await open(this.settings);
    this.page.say("Your data are deleted. You are a new user now.");
    await this.show();
  }

  private async show(): Promise<void> {
    this.page.showRecorded(await this.client.recorded(), await this.client.persistent);
    try {
      this.page.showBest(await this.client.recommend(BEST));
    } catch (error) {
      if (!(error instanceof NoModelError)) throw error;
      this.page.showBest([]);
    }
  }
}

function open({ coordinator, population }: Settings): Promise<FedClient> {
  return FedClient.open({ coordinator, population, database: DATABASE, wasm: "ort-wasm-simd-threaded.wasm" });
}

function said({ result, refreshed, reason }: Outcome): string {
  if (result === "uploaded") return "Your contribution was counted. The next sync fetches the model of the new round.";
  if (refreshed) return "The newest model was fetched. The round had no place for this browser.";
  return `The sync ended without a contribution (${result} ${reason}).`;
}

const page = new Page();
try {
  const [settings, films] = await Promise.all(["config.json", "films.json"].map(async (name) => (await fetch(name)).json()));
  page.showFilms(films as Film[]);
  watch((settings as Settings).coordinator, (what, size) => page.showLeft(what, size));
  await Device.start(settings as Settings, page);
} catch (error) {
  const locked = error instanceof StoreLockedError;
  page.fail(locked ? "This page is open in another tab. Close it there, then load this one again." : String(error));
}
