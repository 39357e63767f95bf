/** For what scrolls but holds nothing to press: without this the keyboard could not reach its end. */
export const reachable = { tabIndex: 0 } as const;
