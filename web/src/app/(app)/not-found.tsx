export { NothingAtAddress as default } from "@/components/not-here";
