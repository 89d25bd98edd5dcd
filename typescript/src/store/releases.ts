/** The least sequence numbers of bundles that a device still accepts, in its database. */
import type { StateDatabase } from "./database.js";

/** Returns the least sequence numbers for a population, by publisher. */
export function least(database: StateDatabase, population: string): Map<string, number> {
  const rows = database.all("SELECT publisher, least FROM releases WHERE population = ?", population);
  return new Map(rows.map((row) => [row.publisher!, Number(row.least)]));
}

/** Raises a least sequence number, within a transaction. */
export function raise(database: StateDatabase, population: string, publisher: string, sequence: number): void {
  database.run(
    "INSERT INTO releases VALUES (?, ?, ?) " +
      "ON CONFLICT (population, publisher) DO UPDATE SET least = max(least, excluded.least)",
    population,
    publisher,
    BigInt(sequence),
  );
}
