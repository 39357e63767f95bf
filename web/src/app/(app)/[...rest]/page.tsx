import { notFound } from "next/navigation";

/** Every address without a page of its own, so that the answer stands in the frame. */
export default function NoSuchPage() {
  notFound();
}
