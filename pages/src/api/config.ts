/** What the server says about itself before anybody signs in: `/pages/config.json`. */

export interface DemoAccount {
  role: string;
  email: string;
  password: string;
}

export interface Config {
  demo: boolean;
  tiles_url: string | null;
  basemap_url: string | null;
  /** What the basemap covers: [west, south, east, north]. */
  bounds: [number, number, number, number] | null;
  /** Addresses that this server answers, of those a page may link to or ask for. */
  paths: string[];
  accounts?: DemoAccount[];
}

let loading: Promise<Config> | null = null;

export function config(): Promise<Config> {
  loading ??= fetch("/pages/config.json").then((reply) => {
    if (!reply.ok) throw new Error(`The server's settings did not load (${reply.status}).`);
    return reply.json() as Promise<Config>;
  });
  return loading;
}
