/** The page of the demo: this browser is a device. */
import { FedClient, NoModelError, type Outcome, StoreLockedError, StoreLostError, TransportError } from "../src/browser.js";
import { type Film, Page } from "./page.js";
import { watch } from "./watching.js";

const DATABASE = "fedau2 demo";
const BEST = 5;
/** What a device's calls do besides sending its change of the model. */
const CALLS: Readonly<Record<string, string>> = {
  CheckIn: "asked for a place in a round",
  FetchResource: "asked for a part of the model",
  UploadOffset: "asked where an upload goes on",
  ReportFailure: "gave a place back",
};

/** What the server of the demo says. */
interface Settings {
  readonly coordinator: string;
  readonly population: string;
}

/** The device, as the page uses it. */
class Device {
  private round = "";

  private constructor(
    private readonly settings: Settings,
    private readonly page: Page,
    private client: FedClient,
  ) {
    this.listen();
  }

  static async start(settings: Settings, page: Page): Promise<void> {
    let client: FedClient;
    let greeting = "Choose films, and sync now and then.";
    try {
      client = await open(settings);
    } catch (error) {
      if (!(error instanceof StoreLostError)) throw error;
      await FedClient.remove(DATABASE);
      greeting = "The browser had removed your data, so you begin anew.";
      client = await open(settings);
    }
    const device = new Device(settings, page, client);
    watch(settings.coordinator, (call, size, answered) => page.showLeft(device.told(call), size, answered));
    page.whenChosen((film) => device.choose(film));
    page.whenSynced(() => device.sync());
    page.whenRemoved(() => device.remove());
    await device.show();
    page.say(greeting);
  }

  /** Notes the rounds that the client takes part in. */
  private listen(): void {
    this.client.subscribe((event) => {
      if (event.type === "joined" || event.type === "uploaded") this.round = ` for round ${event.round + 1n}`;
    });
  }

  /** Returns what a call tells the coordinator, in plain words. */
  private told(call: string): string {
    return call === "UploadPart" ? `sent the change${this.round}` : (CALLS[call] ?? call);
  }

  private async choose({ id, title }: Film): Promise<void> {
    await this.client.record(id);
    this.page.say(`${title} is recorded in this browser.`);
    await this.show();
  }

  private async sync(): Promise<void> {
    this.page.say("Syncing");
    try {
      this.page.say(said(await this.client.sync(), this.round));
    } catch (error) {
      if (!(error instanceof TransportError && error.temporary)) throw error;
      this.page.say("The server gave no answer that this browser could use. Nothing is lost: sync again later.");
    }
    await this.show();
  }

  private async remove(): Promise<void> {
    await this.client.close();
    await FedClient.remove(DATABASE);
    this.client = await open(this.settings);
    this.listen();
    this.page.say("Your data are deleted here. Changes that were sent cannot be taken back. You are a new user now.");
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

function said({ result, refreshed, reason }: Outcome, round: string): string {
  if (result === "uploaded") return `Your change${round} was counted. The next sync fetches the newer model.`;
  if (refreshed && reason === "REJECTION_REASON_NO_PLACE_WANTED") {
    return "The newest model was fetched. You have chosen no film, so this browser asked for no place in a round.";
  }
  if (refreshed) return "The newest model was fetched. The round had no place for this browser.";
  return `The sync ended without a contribution (${result} ${reason}).`;
}

const page = new Page();
try {
  const [settings, films] = await Promise.all(["config.json", "films.json"].map(async (name) => (await fetch(name)).json()));
  page.showFilms(films as Film[]);
  await Device.start(settings as Settings, page);
} catch (error) {
  const locked = error instanceof StoreLockedError;
  page.fail(locked ? "This page is open in another tab. Close it there, then load this one again." : String(error));
}
