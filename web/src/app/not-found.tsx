import { NothingAtAddress } from "@/components/not-here";

export default function NotFound() {
  return (
    <main>
      <NothingAtAddress />
    </main>
  );
}
