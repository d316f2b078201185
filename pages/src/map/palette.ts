/** The colours of the map itself: quiet, so that what moves on it is what the eye finds. */

export interface Palette {
  land: string;
  water: string;
  park: string;
  landuse: string;
  building: string;
  rail: string;
  place: string;
  street: string;
  streetCase: string;
  main: string;
  mainCase: string;
  motorway: string;
  motorwayCase: string;
  label: string;
  labelHalo: string;
  waterLabel: string;
}

export const light: Palette = {
  land: "#f3f1ec",
  water: "#cbdde6",
  park: "#dfe9d8",
  landuse: "#efece5",
  building: "#e8e4db",
  rail: "#cfc9bd",
  place: "#4f5552",
  street: "#ffffff",
  streetCase: "#e3dfd6",
  main: "#ffffff",
  mainCase: "#d6d0c4",
  motorway: "#f7e6c4",
  motorwayCase: "#dcc699",
  label: "#5f6360",
  labelHalo: "#f8f7f3",
  waterLabel: "#3a6177",
};

export const dark: Palette = {
  land: "#141918",
  water: "#0e2a38",
  park: "#182a22",
  landuse: "#171d1c",
  building: "#1c2322",
  rail: "#303836",
  place: "#bcc5c1",
  street: "#2c3533",
  streetCase: "#181e1d",
  main: "#3c4744",
  mainCase: "#181e1d",
  motorway: "#4c483a",
  motorwayCase: "#1c1f1c",
  label: "#98a19d",
  labelHalo: "#141918",
  waterLabel: "#6f9bb1",
};

const query = matchMedia("(prefers-color-scheme: dark)");

export function palette(): Palette {
  return query.matches ? dark : light;
}

export function isDark(): boolean {
  return query.matches;
}

export function onSchemeChange(listener: () => void): void {
  query.addEventListener("change", listener);
}
