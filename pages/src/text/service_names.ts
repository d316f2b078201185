/** What services are called, once the server's catalogue was read; until then a code is spelled as a sentence. */
import type { Service } from "../api/types.ts";
import { sentence } from "./words.ts";

const names = new Map<string, string>();

/** Reads the catalogue; without it, pages still have words. */
export async function learnServiceNames(): Promise<void> {
  try {
    const reply = await fetch("/v1/services");
    const { items } = (await reply.json()) as { items: Service[] };
    for (const { service, name } of items) names.set(service, name);
  } catch {
    // The spelled code will do.
  }
}

export function serviceName(code: string): string {
  return names.get(code) ?? sentence(code);
}
