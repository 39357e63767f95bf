import { Fragment } from "react";

/** A sentence from a schema or the API. What stands between backticks is shown as code, not with them. */
export function Prose({ text }: { text: string }) {
  return text.split("`").map((part, index) =>
    index % 2 === 1 ? (
      // Sentences do not change under the reader, so the place is all the name a part needs.
      <code key={index} className="font-mono text-[0.92em]">
        {part}
      </code>
    ) : (
      <Fragment key={index}>{part}</Fragment>
    ),
  );
}
