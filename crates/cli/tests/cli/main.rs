//! The program from outside: processes, exit codes, what is printed, and what is left when it is
//! killed.

mod accounts;
mod batch;
mod bytes;
mod crash;
mod deploy;
mod doctor;
mod erase;
mod exec;
mod fleet;
mod flows;
mod labels;
mod large_batch;
mod pages;
mod places;
mod queues;
mod rest;
mod schedules;
mod start;
mod support;
mod tasks;
mod transfer;
mod usage;
mod verify;
