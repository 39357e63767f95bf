"use client";

import type { KeyMode, KindInfo, Priority, Task } from "@tasktonic/client";
import { ChevronRight } from "lucide-react";
import { useId } from "react";
import { describedBy, Field, Input, NativeSelect, Textarea } from "@/components/ui/field";
import { PRIORITIES } from "@/features/tasks/priorities";
import type { Errors } from "./draft";
import { KEY_MODES, type KeyOptions, type KeySettings, keyOf, NO_KEY } from "./key";
import { type Carried, carriedOf, NO_POLICY, type PolicyOptions, type PolicySettings, policyOf } from "./policy";
import { Span, spanOf, UNITS, type Unit } from "./span";

/** The options as they are typed. Empty means: as the kind has it. */
export type Options = KeyOptions & {
  delay: string;
  delayUnit: Unit;
  expire: string;
  expireUnit: Unit;
  attempts: string;
  timeout: string;
  timeoutUnit: Unit;
  soft: string;
  softUnit: Unit;
  tags: string;
  needs: string;
  priority: Priority;
  policy: PolicyOptions;
  /** The policy of an earlier task, where this one is filled in from it. */
  carried?: Carried | undefined;
};
export const NO_OPTIONS: Options = {
  delay: "",
  delayUnit: "m",
  expire: "",
  expireUnit: "h",
  attempts: "",
  timeout: "",
  timeoutUnit: "m",
  soft: "",
  softUnit: "m",
  tags: "",
  needs: "",
  priority: "normal",
  ...NO_KEY,
  policy: NO_POLICY,
};

export type Settings = PolicySettings &
  KeySettings & {
    delay_ms?: number;
    expire_after_ms?: number;
    attempts_max?: number;
    timeout_ms?: number;
    soft_timeout_ms?: number;
    tags?: string[];
    needs?: string[];
    priority?: Priority;
  };

/** What a worker may have, and how much of that one task may need. */
const LABEL = /^[a-z0-9_-]{1,32}$/;
const NEEDS_MAX = 3;

/** Tags as they are typed, with commas between them. */
export const tagsOf = (typed: string): string[] => [
  ...new Set(
    typed
      .split(",")
      .map((tag) => tag.trim())
      .filter(Boolean),
  ),
];

/** The options of a task that is like another: its labels, and how it was attempted where its kind has it otherwise. */
export function optionsFrom(task: Task, kind: KindInfo): Options {
  const carried = carriedOf(task, kind);
  const { attempts_max, timeout_ms, priority } = task;
  const soft_ms = task.policy?.soft_timeout_ms ?? null;
  const options: Options = { ...NO_OPTIONS, tags: task.tags.join(", "), policy: carried.typed, carried };
  if (priority) options.priority = priority;
  const needs = (task.needs ?? []).join(", ");
  if (needs !== (kind.needs ?? []).join(", ")) options.needs = needs;
  if (attempts_max !== kind.attempts_max) options.attempts = String(attempts_max);
  if (timeout_ms !== null && timeout_ms !== kind.timeout_ms) {
    ({ value: options.timeout, unit: options.timeoutUnit } = spanOf(timeout_ms));
  }
  if (soft_ms !== null && soft_ms !== kind.soft_timeout_ms) {
    ({ value: options.soft, unit: options.softUnit } = spanOf(soft_ms));
  }
  return options;
}

/** What was typed as the API takes it, or what is wrong with it. */
export function settingsOf(options: Options): { settings: Settings; errors: Errors } {
  const errors: Errors = {};
  const settings: Settings = {};
  const positive = (field: string, typed: string): number | undefined => {
    if (typed.trim() === "") return undefined;
    const value = Number(typed);
    if (Number.isFinite(value) && value > 0) return value;
    errors[field] = "This must be a number above zero.";
    return undefined;
  };
  const delay = positive("/delay_ms", options.delay);
  if (delay !== undefined) settings.delay_ms = Math.round(delay * UNITS[options.delayUnit].ms);
  const expire = positive("/expire_after_ms", options.expire);
  if (expire !== undefined) settings.expire_after_ms = Math.round(expire * UNITS[options.expireUnit].ms);
  if ((settings.expire_after_ms ?? Number.POSITIVE_INFINITY) <= (settings.delay_ms ?? 0)) {
    errors["/expire_after_ms"] = "This must be longer than the time it starts after.";
  }
  const attempts = positive("/attempts_max", options.attempts);
  if (attempts !== undefined) settings.attempts_max = Math.round(attempts);
  const timeout = positive("/timeout_ms", options.timeout);
  if (timeout !== undefined) settings.timeout_ms = Math.round(timeout * UNITS[options.timeoutUnit].ms);
  const soft = positive("/soft_timeout_ms", options.soft);
  if (soft !== undefined) settings.soft_timeout_ms = Math.round(soft * UNITS[options.softUnit].ms);
  if (settings.timeout_ms !== undefined && (settings.soft_timeout_ms ?? 0) >= settings.timeout_ms) {
    errors["/soft_timeout_ms"] = "This must be below the time limit.";
  }
  Object.assign(settings, policyOf(options.policy, errors, options.carried));
  const tags = tagsOf(options.tags);
  if (tags.length > 0) settings.tags = tags;
  if (options.priority !== "normal") settings.priority = options.priority;
  const needs = tagsOf(options.needs);
  if (needs.length > 0) settings.needs = needs;
  if (needs.length > NEEDS_MAX) errors["/needs"] = `At most ${NEEDS_MAX} labels.`;
  else if (!needs.every((label) => LABEL.test(label))) {
    errors["/needs"] = "A label has 1 to 32 small letters, digits, _ or -.";
  }
  Object.assign(settings, keyOf(options, errors, positive));
  if (settings.key_mode === "debounce" && settings.delay_ms !== undefined) {
    errors["/delay_ms"] = "Leave this empty: a pause after the last submission is when it starts.";
  }
  return { settings, errors };
}

const WAIT_HINTS: Record<PolicyOptions["form"], string> = {
  "": "Choose one to say another time",
  fixed: "A time, such as 30 s",
  exponential: "The first wait, such as 2 s",
  list: "Times with commas between them; the last one is used from then on",
};

const KEPT = [
  ["keepCompleted", "completed_s", "Once completed"],
  ["keepCancelled", "cancelled_s", "Once cancelled"],
  ["keepFailed", "failed_s", "Once failed"],
] as const;

export function OptionFields(props: {
  options: Options;
  onChange: (options: Options) => void;
  errors: Errors;
  attemptsMax: number;
  /** What its kind says that a worker has to have. */
  needs?: string[];
  crashesMax: number;
  open: boolean;
}) {
  const { options, onChange, errors } = props;
  const { policy } = options;
  const id = useId();
  const set = (part: Partial<Options>) => onChange({ ...options, ...part });
  const setPolicy = (part: Partial<PolicyOptions>) => set({ policy: { ...policy, ...part } });
  const tied = (name: string, pointer: string, hint?: string) => ({
    id: `${id}-${name}`,
    "data-pointer": `option:${pointer}`,
    "aria-invalid": errors[pointer] ? true : undefined,
    "aria-describedby": describedBy(`${id}-${name}`, hint, errors[pointer]),
  });
  return (
    <details
      className="group rounded-lg border border-line bg-surface"
      open={props.open || Object.keys(errors).length > 0}
    >
      <summary className="flex cursor-pointer list-none items-center gap-2 rounded-lg px-5 py-3 text-sm font-medium sm:px-6 [&::-webkit-details-marker]:hidden">
        <ChevronRight aria-hidden className="size-4 text-ink-faint transition-transform group-open:rotate-90" />
        Options
        <span className="text-xs font-normal text-ink-faint">when, how often, labels</span>
      </summary>
      <div className="grid gap-5 px-5 pt-1 pb-5 sm:grid-cols-2 sm:px-6 sm:pb-6">
        <Field id={`${id}-delay`} label="Start after" error={errors["/delay_ms"]} hint="Left empty, it starts at once">
          <Span
            input={tied("delay", "/delay_ms", "hint")}
            value={options.delay}
            unit={options.delayUnit}
            unitLabel="Unit of the delay"
            onValue={(delay) => set({ delay })}
            onUnit={(delayUnit) => set({ delayUnit })}
          />
        </Field>
        <Field
          id={`${id}-expire`}
          label="Only if started within"
          error={errors["/expire_after_ms"]}
          hint="Counted from now; after that it ends unstarted. Left empty, it waits"
        >
          <Span
            input={tied("expire", "/expire_after_ms", "hint")}
            value={options.expire}
            unit={options.expireUnit}
            unitLabel="Unit of the time it may wait"
            onValue={(expire) => set({ expire })}
            onUnit={(expireUnit) => set({ expireUnit })}
          />
        </Field>
        <Field
          id={`${id}-timeout`}
          label="Time limit per attempt"
          error={errors["/timeout_ms"]}
          hint="Left empty, the limit of its kind"
        >
          <Span
            input={tied("timeout", "/timeout_ms", "hint")}
            value={options.timeout}
            unit={options.timeoutUnit}
            unitLabel="Unit of the time limit"
            onValue={(timeout) => set({ timeout })}
            onUnit={(timeoutUnit) => set({ timeoutUnit })}
          />
        </Field>
        <Field
          id={`${id}-attempts`}
          label="Attempts"
          error={errors["/attempts_max"]}
          hint={`Left empty: ${props.attemptsMax}`}
        >
          <Input
            {...tied("attempts", "/attempts_max", "hint")}
            inputMode="numeric"
            value={options.attempts}
            onChange={(event) => set({ attempts: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-tags`}
          label="Tags"
          error={errors["/tags"]}
          hint="With commas between them"
          className="sm:col-span-2"
        >
          <Input
            {...tied("tags", "/tags", "hint")}
            autoCapitalize="off"
            value={options.tags}
            onChange={(event) => set({ tags: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-needs`}
          label="Only on workers with"
          error={errors["/needs"]}
          hint={`Labels such as gpu, with commas between them. Left empty: ${props.needs?.join(", ") || "any worker"}`}
          className="sm:col-span-2"
        >
          <Input
            {...tied("needs", "/needs", "hint")}
            autoCapitalize="off"
            spellCheck={false}
            value={options.needs}
            onChange={(event) => set({ needs: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-key`}
          label="Idempotency key"
          error={errors["/idempotency_key"]}
          hint="A name of your own for this piece of work. Left empty, each press makes a new task."
        >
          <Input
            {...tied("key", "/idempotency_key", "hint")}
            className="font-mono text-sm"
            autoCapitalize="off"
            spellCheck={false}
            value={options.key}
            onChange={(event) => set({ key: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-key-mode`}
          label="What the key means"
          error={errors["/key_mode"]}
          hint={KEY_MODES[options.keyMode].says}
        >
          <NativeSelect
            {...tied("key-mode", "/key_mode", "hint")}
            value={options.keyMode}
            onChange={(event) => set({ keyMode: event.target.value as KeyMode })}
          >
            {(Object.keys(KEY_MODES) as KeyMode[]).map((mode) => (
              <option key={mode} value={mode}>
                {KEY_MODES[mode].label}
              </option>
            ))}
          </NativeSelect>
        </Field>
        {KEY_MODES[options.keyMode].window ? (
          <Field
            id={`${id}-key-window`}
            label="Time of the key"
            error={errors["/key_window_ms"]}
            hint={KEY_MODES[options.keyMode].window}
          >
            <Span
              input={tied("key-window", "/key_window_ms", "hint")}
              value={options.keyWindow}
              unit={options.keyWindowUnit}
              unitLabel="Unit of the time of the key"
              onValue={(keyWindow) => set({ keyWindow })}
              onUnit={(keyWindowUnit) => set({ keyWindowUnit })}
            />
          </Field>
        ) : null}
        <Field id={`${id}-priority`} label="Priority" hint={`${PRIORITIES[options.priority].says}.`}>
          <NativeSelect
            {...tied("priority", "/priority", "hint")}
            value={options.priority}
            onChange={(event) => set({ priority: event.target.value as Priority })}
          >
            {(Object.keys(PRIORITIES) as Priority[]).map((priority) => (
              <option key={priority} value={priority}>
                {PRIORITIES[priority].label}
              </option>
            ))}
          </NativeSelect>
        </Field>
        <Field
          id={`${id}-serial`}
          label="One at a time with"
          error={errors["/serial_key"]}
          hint="A name. Tasks of the same name run one after the other, in order. Left empty, beside any other."
        >
          <Input
            {...tied("serial", "/serial_key", "hint")}
            className="font-mono text-sm"
            autoCapitalize="off"
            spellCheck={false}
            value={options.serial}
            onChange={(event) => set({ serial: event.target.value })}
          />
        </Field>
        <h3 className="-mb-2 text-sm font-medium text-ink-soft sm:col-span-2">When an attempt goes wrong</h3>
        <Field
          id={`${id}-backoff`}
          label="Wait before the next attempt"
          error={errors["/backoff"]}
          hint={WAIT_HINTS[policy.form]}
        >
          <div className="flex gap-2">
            <NativeSelect
              aria-label="How the wait changes"
              value={policy.form}
              onChange={(event) => setPolicy({ form: event.target.value as PolicyOptions["form"] })}
            >
              <option value="">as the kind has it</option>
              <option value="fixed">the same each time</option>
              <option value="exponential">doubling</option>
              <option value="list">a list</option>
            </NativeSelect>
            <Input
              {...tied("backoff", "/backoff", "hint")}
              disabled={policy.form === ""}
              value={policy.waits}
              onChange={(event) => setPolicy({ waits: event.target.value })}
            />
          </div>
        </Field>
        <Field
          id={`${id}-longest`}
          label="Longest wait"
          error={errors["/backoff/max_ms"]}
          hint="Where it doubles. Empty: 10 min"
        >
          <Input
            {...tied("longest", "/backoff/max_ms", "hint")}
            disabled={policy.form !== "exponential"}
            value={policy.longest}
            onChange={(event) => setPolicy({ longest: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-rules`}
          label="Rules for errors"
          error={errors["/rules"]}
          hint="One a line, the first that fits decides: `http_4* = bury`, `busy = 30 s`, `odd = again`"
          className="sm:col-span-2"
        >
          <Textarea
            {...tied("rules", "/rules", "hint")}
            className="min-h-20 font-mono text-xs"
            autoCapitalize="off"
            value={policy.rules}
            onChange={(event) => setPolicy({ rules: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-crashes`}
          label="Workers it may lose"
          error={errors["/crashes_max"]}
          hint={`Then no further attempt follows. Empty: ${props.crashesMax}`}
        >
          <Input
            {...tied("crashes", "/crashes_max", "hint")}
            inputMode="numeric"
            value={policy.crashes}
            onChange={(event) => setPolicy({ crashes: event.target.value })}
          />
        </Field>
        <Field
          id={`${id}-soft`}
          label="Told to stop after"
          error={errors["/soft_timeout_ms"]}
          hint="Before the time limit cuts it off. Empty: as the kind has it"
        >
          <Span
            input={tied("soft", "/soft_timeout_ms", "hint")}
            value={options.soft}
            unit={options.softUnit}
            unitLabel="Unit of the soft time limit"
            onValue={(soft) => set({ soft })}
            onUnit={(softUnit) => set({ softUnit })}
          />
        </Field>
        <h3 className="-mb-2 text-sm font-medium text-ink-soft sm:col-span-2">
          How long it is kept after its end <span className="font-normal text-ink-faint">such as 6 h or 30 days</span>
        </h3>
        <div className="grid gap-5 sm:col-span-2 sm:grid-cols-3">
          {KEPT.map(([option, name, label]) => (
            <Field key={name} id={`${id}-${name}`} label={label} error={errors[`/keep/${name}`]}>
              <Input
                {...tied(name, `/keep/${name}`)}
                placeholder="as the kind has it"
                value={policy[option]}
                onChange={(event) => setPolicy({ [option]: event.target.value })}
              />
            </Field>
          ))}
        </div>
      </div>
    </details>
  );
}
