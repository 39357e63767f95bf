//! The program from outside: processes, exit codes, what is printed, and what is left when it is
//! killed.

mod accounts;
mod crash;
mod exec;
mod pages;
mod start;
mod support;
mod tasks;
mod usage;
mod verify;
