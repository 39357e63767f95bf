/** The other half of the sign-in page: bubbles on their way up, at rest for who asked for rest. */
export function LoginScene() {
  return (
    <div aria-hidden className="relative hidden overflow-hidden border-l border-line bg-scene text-scene-ink lg:block">
      <svg
        aria-hidden
        viewBox="0 0 720 900"
        preserveAspectRatio="xMidYMid slice"
        className="absolute inset-0 size-full"
      >
        <g fill="currentColor">
          <circle cx="300" cy="596" r="150" />
          <circle cx="536" cy="404" r="94" />
          <circle cx="388" cy="244" r="54" />
        </g>
        <g fill="none" stroke="currentColor" strokeWidth="1.5" opacity=".5">
          <circle cx="118" cy="322" r="44" />
          <circle cx="610" cy="716" r="66" />
          <circle cx="566" cy="168" r="24" />
          <circle cx="196" cy="148" r="15" />
          <circle cx="96" cy="800" r="26" />
          <circle cx="470" cy="832" r="15" />
        </g>
        <g fill="none" stroke="var(--scene-glint)" strokeLinecap="round" strokeWidth="9">
          <path d="M206 560a102 102 0 0 1 70-66" />
          <path d="M480 382a60 60 0 0 1 41-38" strokeWidth="7" />
          <path d="M356 232a34 34 0 0 1 23-21" strokeWidth="5" />
        </g>
      </svg>
      <p className="absolute right-10 bottom-8 text-sm font-medium">Hand it over. Watch it rise.</p>
    </div>
  );
}
