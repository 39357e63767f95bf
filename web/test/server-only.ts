// Outside of Next.js there is no client bundle to keep this out of.
export {};
