import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import axe from "axe-core";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { done, refused } from "@/lib/result";

const actions = vi.hoisted(() => ({ eraseData: vi.fn(), erasureNow: vi.fn() }));
vi.mock("@/features/session/erase-action", () => actions);
vi.mock("next/navigation", () => ({ unstable_isUnrecognizedActionError: () => false, unstable_rethrow: () => {} }));

const { EraseDialog } = await import("@/features/session/erase-dialog");

const erasure = { state: "removing", asked_at: "", done_at: null, tasks: 2, more: false, files: 0, account: false };
const button = () => screen.getByRole("button", { name: "Erase" }) as HTMLButtonElement;
const type = (text: string) =>
  fireEvent.change(screen.getByLabelText("Type ana to go on"), { target: { value: text } });

beforeEach(() => {
  actions.eraseData.mockReset();
  actions.erasureNow.mockReset();
});

describe("erasing one's data", () => {
  it("wants to be told who, and goes on until all is gone", async () => {
    const left = vi.spyOn(location, "assign").mockImplementation(() => {});
    actions.eraseData.mockResolvedValue(done(erasure));
    actions.erasureNow.mockResolvedValueOnce(done({ ...erasure, state: "rewriting" }));
    actions.erasureNow.mockResolvedValueOnce(done({ ...erasure, state: "done" }));
    render(<EraseDialog user="ana" onClose={() => {}} />);
    const { violations } = await axe.run(screen.getByRole("dialog"), {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
    });
    expect(violations.map(({ id }) => id)).toEqual([]);
    expect(button().disabled).toBe(true);
    type("ben");
    expect(button().disabled).toBe(true);
    type("ana");
    fireEvent.click(button());
    await waitFor(() => expect(left).toHaveBeenCalledWith("/tasks"), { timeout: 5_000 });
    expect(actions.eraseData.mock.calls).toEqual([[{ confirm: "ana" }]]);
    expect(actions.erasureNow).toHaveBeenCalledTimes(2);
  });

  it("says why it could not be begun", async () => {
    actions.eraseData.mockResolvedValue(refused("forbidden", "Not with this token."));
    render(<EraseDialog user="ana" onClose={() => {}} />);
    type("ana");
    fireEvent.click(button());
    expect(await screen.findByText("Not with this token.")).toBeTruthy();
  });
});
