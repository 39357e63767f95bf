// In which form the product runs while it is tested, and what has no meaning in which form.

/** What follows `tasktonic up` in each form. */
const FORMS = {
  /** One process with its own store and its own front door. */
  one: [],
  /** Redis, nginx, three workers, two servers, two servers of pages. */
  full: ["--redis", "--gateway", "--servers", "2", "--pages", "2"],
  /** The same over a cluster of three Redis masters with a replica each. */
  cluster: ["--cluster", "--gateway", "--servers", "2", "--pages", "2"],
};
const WORKERS = 3;

export const MODE = process.env.TASKTONIC_E2E_MODE ?? "one";
if (!Object.hasOwn(FORMS, MODE)) {
  throw new Error(`TASKTONIC_E2E_MODE is ${MODE}; it is one of ${Object.keys(FORMS).join(", ")}`);
}
export const IS_FLEET = MODE !== "one";

/** Test files that say nothing about a form, and why. `cargo xtask test` leaves them out there. */
const MEANINGLESS = {
  guides: { in: ["full", "cluster"], why: "it copies the folder of an embedded store while nobody has it open" },
  readme: { in: ["full", "cluster"], why: "its commands are those for one process" },
  architecture: { in: ["one"], why: "there are no parts that could fail by themselves" },
  tap: { in: ["one", "cluster"], why: "it listens at one Redis and one nginx" },
  pages: { in: ["one"], why: "there is one server of pages" },
};

/** Why the file of this name is not for the form that is tested now; undefined if it is. */
export function meaningless(name) {
  const found = MEANINGLESS[name];
  return found?.in.includes(MODE) ? `not in mode ${MODE}: ${found.why}` : undefined;
}

/** The arguments of `tasktonic up` for this form. */
export function upFlags({ workers = true } = {}) {
  if (!IS_FLEET) return workers ? [] : ["--no-workers"];
  return [...FORMS[MODE], ...(workers ? ["--workers", String(WORKERS)] : ["--no-workers"])];
}
