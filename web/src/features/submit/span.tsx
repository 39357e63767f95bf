import { Input, NativeSelect } from "@/components/ui/field";

export const UNITS = {
  s: { label: "seconds", ms: 1_000 },
  m: { label: "minutes", ms: 60_000 },
  h: { label: "hours", ms: 3_600_000 },
  d: { label: "days", ms: 86_400_000 },
} as const;
export type Unit = keyof typeof UNITS;

/** The same length as a number and the largest unit in which it is a whole one. */
export function spanOf(ms: number): { value: string; unit: Unit } {
  const units = (Object.keys(UNITS) as Unit[]).toReversed();
  const unit = units.find((name) => ms % UNITS[name].ms === 0) ?? "s";
  return { value: String(ms / UNITS[unit].ms), unit };
}

/** A length of time: a number and its unit. */
export function Span(props: {
  input: React.ComponentProps<"input">;
  value: string;
  unit: Unit;
  unitLabel: string;
  onValue: (value: string) => void;
  onUnit: (unit: Unit) => void;
}) {
  return (
    <div className="flex gap-2">
      <Input
        {...props.input}
        inputMode="decimal"
        value={props.value}
        onChange={(event) => props.onValue(event.target.value)}
      />
      <NativeSelect
        aria-label={props.unitLabel}
        className="w-32"
        value={props.unit}
        onChange={(event) => props.onUnit(event.target.value as Unit)}
      >
        {(Object.keys(UNITS) as Unit[]).map((unit) => (
          <option key={unit} value={unit}>
            {UNITS[unit].label}
          </option>
        ))}
      </NativeSelect>
    </div>
  );
}
