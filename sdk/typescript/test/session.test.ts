import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Session } from "../src/session.ts";

const NOW = Date.parse("2026-11-01T10:00:00Z");
const TEN_MINUTES = 600_000;
const expiresAt = new Date(NOW + TEN_MINUTES).toISOString();
const answer = (status: number, body: object = { expires_in: 600 }) =>
  vi.fn(async () => new Response(JSON.stringify(body), { status }));

const aSession = (send: ReturnType<typeof answer>, onEnd?: () => void) =>
  new Session({ expiresAt, fetch: send as unknown as typeof fetch, ...(onEnd ? { onEnd } : {}) });

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the session", () => {
  it("renews at two thirds of the token's life, again and again", async () => {
    const send = answer(200);
    const session = aSession(send);
    session.start();
    await vi.advanceTimersByTimeAsync(TEN_MINUTES * 0.66);
    expect(send).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(TEN_MINUTES * 0.01);
    expect(send).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(TEN_MINUTES * 0.67);
    expect(send).toHaveBeenCalledTimes(2);
    session.stop();
  });

  it("renews on focus if that time has passed asleep, and not before", async () => {
    const send = answer(200);
    const session = aSession(send);
    await session.freshen();
    expect(send).not.toHaveBeenCalled();
    vi.setSystemTime(NOW + TEN_MINUTES * 0.9);
    await session.freshen();
    expect(send).toHaveBeenCalledOnce();
    session.stop();
  });

  it("asks once when many ask at the same time", async () => {
    const send = answer(200);
    const session = aSession(send);
    expect(await Promise.all([session.renew(), session.renew(), session.renew()])).toEqual(Array(3).fill("renewed"));
    expect(send).toHaveBeenCalledOnce();
    session.stop();
  });

  it("ends only when the token has, if the renewal is refused", async () => {
    const ended = vi.fn();
    const session = aSession(answer(401), ended);
    expect(await session.renew()).toBe("refused");
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(TEN_MINUTES);
    expect(ended).toHaveBeenCalledOnce();
    session.stop();
  });

  it("takes a server that is away for no refusal", async () => {
    const ended = vi.fn();
    const session = aSession(answer(503), ended);
    expect(await session.renew()).toBe("unreachable");
    const broken = new Session({ expiresAt, onEnd: ended, fetch: () => Promise.reject(new TypeError("network")) });
    expect(await broken.renew()).toBe("unreachable");
    expect(ended).not.toHaveBeenCalled();
    session.stop();
    broken.stop();
  });
});
