/** A refresh this long before the end still counts as fresh enough to open a socket with. */
const EXPIRY_MARGIN_MS = 10_000;
const RENEW_AT = 2 / 3;
/** `setTimeout` counts in 32 bits. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export type Renewal = "renewed" | "refused" | "unreachable";

export type SessionOptions = {
  /** POST here renews the cookie. */
  refreshUrl?: string;
  expiresAt?: string;
  fetch?: typeof fetch;
  now?: () => number;
  /** The session is over: only a new sign-in helps. */
  onEnd?: () => void;
};

/** Keeps the cookie alive: renews at two thirds of its life and on return to the tab. Sees no token. */
export class Session {
  readonly #options: SessionOptions;
  readonly #now: () => number;
  #expiresAtMs: number | undefined;
  #renewAtMs = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #under: Promise<Renewal> | undefined;
  #renewedAtMs = 0;
  #stopped = false;

  constructor(options: SessionOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    if (options.expiresAt) this.#learn(Date.parse(options.expiresAt));
  }

  get renewedAtMs(): number {
    return this.#renewedAtMs;
  }

  /** The server said when the token ends, as in `welcome`. */
  learnExpiry(at: string): void {
    const ms = Date.parse(at);
    if (Number.isFinite(ms) && ms !== this.#expiresAtMs) this.#learn(ms);
  }

  start(): void {
    this.#stopped = false;
    this.#plan();
  }
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** On focus, and before a socket opens: renews if two thirds of the token's life are gone. */
  async freshen(): Promise<void> {
    if (this.#now() >= this.#renewAtMs) await this.renew();
  }

  hasExpired(): boolean {
    return this.#expiresAtMs !== undefined && this.#now() >= this.#expiresAtMs - EXPIRY_MARGIN_MS;
  }

  /** One renewal at a time, in this tab and (where the browser can) among all tabs. */
  renew(): Promise<Renewal> {
    this.#under ??= this.#renew().finally(() => {
      this.#under = undefined;
    });
    return this.#under;
  }

  async #renew(): Promise<Renewal> {
    const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
    const result = locks ? await locks.request("tasktonic-renew", () => this.#post()) : await this.#post();
    if (result === "refused") {
      this.#renewAtMs = Number.POSITIVE_INFINITY;
      clearTimeout(this.#timer);
      // An external issuer gives no refresh token: then the session lasts as long as its token does.
      if (this.#expiresAtMs === undefined || this.hasExpired()) this.#options.onEnd?.();
      else this.#planEnd(this.#expiresAtMs);
    }
    return result;
  }

  async #post(): Promise<Renewal> {
    const send = this.#options.fetch ?? fetch;
    try {
      const response = await send(this.#options.refreshUrl ?? "/api/v1/auth/refresh", {
        method: "POST",
        credentials: "same-origin",
        cache: "no-store",
        redirect: "manual",
      });
      if (response.status >= 400 && response.status < 500 && response.status !== 429) return "refused";
      if (!response.ok) return "unreachable";
      const body = (await response.json().catch(() => ({}))) as { expires_in?: number };
      this.#renewedAtMs = this.#now();
      if (typeof body.expires_in === "number") this.#learn(this.#now() + body.expires_in * 1000);
      return "renewed";
    } catch {
      return "unreachable";
    }
  }

  #learn(expiresAtMs: number): void {
    if (!Number.isFinite(expiresAtMs)) return;
    this.#expiresAtMs = expiresAtMs;
    this.#renewAtMs = this.#now() + Math.max(0, expiresAtMs - this.#now()) * RENEW_AT;
    this.#plan();
  }
  #plan(): void {
    clearTimeout(this.#timer);
    if (this.#stopped || !Number.isFinite(this.#renewAtMs)) return;
    const waitMs = Math.min(TIMER_MS_MAX, Math.max(1_000, this.#renewAtMs - this.#now()));
    this.#timer = setTimeout(() => {
      void this.freshen().finally(() => this.#plan());
    }, waitMs);
  }
  #planEnd(atMs: number): void {
    this.#timer = setTimeout(() => this.#options.onEnd?.(), Math.min(TIMER_MS_MAX, Math.max(0, atMs - this.#now())));
  }
}
