/** `window.doorstep`: what this page shows, to be read by tests and by a curious engineer. Nothing can be changed here. */
import type { Marker } from "../map/marker_layer.ts";

interface Facts {
  markers?: () => ReadonlyMap<string, Marker>;
  more?: () => Record<string, unknown>;
}

declare global {
  interface Window {
    doorstep: {
      readonly page: string;
      readonly markers: Record<string, unknown>;
      readonly state: Record<string, unknown>;
    };
  }
}

export function expose(page: string, { markers, more }: Facts): void {
  const facts = {
    page,
    /** Where each marker is drawn at this moment, by booking. */
    get markers(): Record<string, unknown> {
      const shown: Record<string, unknown> = {};
      for (const [id, { motion, phase, freshness }] of markers?.() ?? [])
        shown[id] = { ...motion.place, phase, freshness };
      return shown;
    },
    get state(): Record<string, unknown> {
      return more?.() ?? {};
    },
  };
  Object.defineProperty(window, "doorstep", { value: Object.freeze(facts) });
}
