//! Every limit of the engine, by name. Constants that depend on each other check each other here.

/// How long a claim may go without a heartbeat, by default.
pub const LEASE_MS_DEFAULT: u32 = 10_000;
/// The shortest lease a worker may ask for.
pub const LEASE_MS_MIN: u32 = 5_000;
/// The longest lease a worker may ask for.
pub const LEASE_MS_MAX: u32 = 3_600_000;
/// How often a worker renews its leases.
pub const HEARTBEAT_MS: u32 = 3_300;
/// The most that lease time moves between two maintenance turns, whatever the wall clock does.
pub const LEASE_TIME_STEP_MS_MAX: i64 = 2_000;
/// How far lease time moves before it is written down again, while workers of other processes hold
/// leases: what a restart may forget of it.
pub const LEASE_TIME_KEPT_EVERY_MS: i64 = 1_000;
/// A `sync` that finds the last maintenance older than this maintains.
pub const MAINTENANCE_MS: i64 = 200;
/// If the last maintenance is older than this, nobody looks often enough for lease time to keep up
/// with the clock; the caller is asked to look again after [`LEASE_TIME_STEP_MS_MAX`].
pub const UNWATCHED_MS: i64 = 1_500;
/// While there are leases, whoever calls is asked to look again after this: those who look more
/// often may be gone by then.
pub const LOOK_MS_MAX: i64 = 5_000;

/// Tasks in one submit command.
pub const SUBMIT_TASKS_MAX: usize = 128;
/// Operations in one sync.
pub const SYNC_OPS_MAX: usize = 128;
/// Tasks handed out by one sync.
pub const CLAIM_MAX: u32 = 128;
/// Places of a worker that one task can take, and that one claim can have.
pub const PLACES_MAX: u32 = 1_024;
/// Lanes looked at together for whether it is somebody's turn for whose task there are too few
/// places.
pub const TURN_LOOKS: u32 = 8;
/// Queues named by one claim.
pub const CLAIM_QUEUES_MAX: usize = 32;
/// Lane entries looked at by one claim, dead references included.
pub const CLAIM_LOOKS_MAX: u32 = 256;
/// Tasks named by one control command.
pub const CONTROL_TASKS_MAX: usize = 128;
/// Expired leases adopted by one maintenance turn.
pub const ADOPT_MAX: usize = 64;
/// Due tasks promoted by one maintenance turn.
pub const PROMOTE_MAX: usize = 128;
/// Tasks removed by one command that erases a user.
pub const ERASE_MAX: usize = 128;
/// Tasks that nobody took in time, ended by one maintenance turn.
pub const EXPIRE_MAX: usize = 128;
/// Ended tasks removed per retention value by one maintenance turn.
pub const SWEEP_MAX: usize = 128;
/// Expired idempotency keys forgotten by one maintenance turn.
pub const FORGET_MAX: usize = 128;
/// How long an expired idempotency key is still kept. It counts no more; but a clock that steps back
/// must find it.
pub const KEY_SLACK_MS: i64 = 60_000;
/// Tasks that one waits for, and tasks that wait for one.
pub const LINKS_MAX: usize = 128;
/// Tasks told of an end, or of the end of their flow, by one call; what is over is the next call's.
pub const LEAD_MAX: usize = 128;
/// Parts of a cancelled flow that are stopped together.
pub const CASCADE_MAX: usize = 64;
/// Parts of one flow or batch.
pub const PARTS_MAX: u32 = 100_000;
/// Schedules of one user.
pub const SCHEDULES_MAX: usize = 200;
/// Bytes of one schedule's text, with the payload of its tasks.
pub const SCHEDULE_BYTES_MAX: usize = 64 * 1_024;
/// Due schedules named by one answer.
pub const SCHEDULES_DUE_MAX: usize = 64;
/// Workers woken by one call.
pub const WAKES_MAX: usize = 2;

/// Waiting tasks of one user in one queue, scheduled ones included, by default.
pub const LANE_MAX_DEFAULT: u32 = 100_000;
/// Places of a lane looked at for the place of one task; what is further back is told as so many or
/// more.
pub const POSITION_MAX: u32 = 10_000;
/// In one of so many turns of a user their low tasks go first, if they have been passed over in all
/// others.
pub const LOW_TURN: u32 = 8;
/// Lanes looked at for somebody who is due, where turns are by run time.
pub const TIMED_LOOKS_MAX: usize = 64;
/// Dead references that a lane may hold beyond twice its live ones before they are cleared out.
pub const LANE_DEAD_MAX: usize = 1_024;
/// A parked worker that has not parked again for this long in lease time is no longer counted on.
/// Workers park again once a minute.
pub const PARKED_MS_MAX: i64 = 180_000;
/// How often maintenance takes such workers out, in lease time: whenever that passes a multiple of
/// this. Until then a wake tries them first, and goes on to the next.
pub const FORGET_PARKED_MS: i64 = 30_000;
/// Largest weight of a user in a queue.
pub const WEIGHT_MAX: u32 = 1_000;
/// Largest number of tasks of a user in a queue that may be set to run at once.
pub const RUNNING_MAX_MAX: u32 = 100_000;
/// Largest number of tasks of a rate.
pub const RATE_TASKS_MAX: u32 = 1_000_000;
/// The longest time in which a rate counts its tasks: a day.
pub const RATE_PER_MS_MAX: u32 = 86_400_000;
/// Largest number of tasks that a rate lets start at once.
pub const RATE_BURST_MAX: u32 = 1_000_000;
/// Lanes let in again by one sync because their rate allows it again.
pub const THROTTLED_MAX: usize = 128;
/// Queues with settings of their own.
pub const QUEUES_SET_MAX: usize = 256;
/// Log lines kept per task; older ones fall out.
pub const LOG_LINES_MAX: u32 = 10_000;
/// Ended attempts kept per task; older ones fall out.
pub const ATTEMPTS_KEPT_MAX: u32 = 50;
/// Event entries kept per user for a client that comes back.
pub const EVENTS_KEPT_MAX: usize = 1_000;
/// Writes one holder may make on one claim, and the factor between claim numbers in a `rev`.
pub const REV_PER_CLAIM: u64 = 100_000_000;

const _: () = assert!(PLACES_MAX >= CLAIM_MAX, "as many places as tasks of one place");
const _: () = assert!(UNWATCHED_MS < LEASE_TIME_STEP_MS_MAX, "whoever keeps watch goes on with it");
const _: () = assert!(
    LOOK_MS_MAX + LEASE_MS_DEFAULT as i64 - LEASE_TIME_STEP_MS_MAX < 15_000,
    "a lease that nobody watched ends within 15 s"
);
const _: () = assert!(
    (LEASE_MS_DEFAULT - HEARTBEAT_MS) as i64 - LEASE_TIME_STEP_MS_MAX > HEARTBEAT_MS as i64,
    "after a restart that forgot a heartbeat there is time for another"
);
const _: () = assert!(LEASE_TIME_KEPT_EVERY_MS < LEASE_TIME_STEP_MS_MAX, "a restart forgets none");
const _: () = assert!(3 * HEARTBEAT_MS <= LEASE_MS_DEFAULT, "survive two lost heartbeats");
const _: () = assert!(
    (LEASE_MS_DEFAULT - HEARTBEAT_MS) as i64 > LEASE_TIME_STEP_MS_MAX,
    "one step of the clock must not end the lease of a live holder"
);
/// Most bytes that can be set as the most of a user: 1 PiB, which every number format carries whole.
pub const BYTES_MAX_MAX: u64 = 1 << 50;
