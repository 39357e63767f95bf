export const THEME_COOKIE = "tt_theme";
export type Theme = "light" | "dark" | "system";
export const THEMES: Record<Theme, string> = { light: "Light", dark: "Dark", system: "As the system" };

export const readTheme = (value: string | undefined): Theme =>
  value === "light" || value === "dark" ? value : "system";
