// Files dropped as a person drops them: by the browser's own drag and drop, not by an event of ours.

/** @param {import("playwright-core").Page} page @param {import("playwright-core").Locator} target @param {string[]} files */
export async function drop(page, target, files) {
  await target.scrollIntoViewIfNeeded();
  const box = await target.boundingBox();
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, ...at, data });
  }
  await session.detach();
}
