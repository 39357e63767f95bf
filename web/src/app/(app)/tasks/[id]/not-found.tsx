import { NotHere } from "@/components/not-here";

export default function NoSuchTask() {
  return <NotHere title="There is no such task" text="It may have been cleaned up, or the id has a letter wrong." />;
}
