// Reads the size of a picture out of its bytes, so that no test believes a name.

/** @param {Buffer} bytes */
export function sizeOf(bytes) {
  if (bytes.readUInt32BE(0) === 0x89504e47) return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  if (bytes.readUInt16BE(0) === 0xffd8) return jpeg(bytes);
  throw new Error(`this is neither PNG nor JPEG: ${bytes.subarray(0, 8).toString("hex")}`);
}

function jpeg(bytes) {
  let at = 2;
  while (at + 9 < bytes.length) {
    const marker = bytes.readUInt16BE(at);
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (isFrame) return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  throw new Error("this JPEG has no frame");
}
