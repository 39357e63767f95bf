import { NotHere } from "@/components/not-here";

export default function NoSuchTask() {
  return (
    <NotHere
      title="There is no such task"
      text="Ended tasks are kept for a while: its time may be over, or it was removed. Or the id has a letter wrong."
    />
  );
}
