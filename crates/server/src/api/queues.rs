//! Queues and what is set of them and of users: paused, turns, how many may wait, run and start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use futures_util::future::join_all;
use tasktonic_core::command::Control;
use tasktonic_core::limits::{
    RATE_BURST_MAX, RATE_PER_MS_MAX, RATE_TASKS_MAX, RUNNING_MAX_MAX, WEIGHT_MAX,
};
use tasktonic_core::routing::PartitionId;
use tasktonic_core::settings::{By, Rate as Limit, UserSettings};
use tasktonic_core::{Labels, Name, UserId};
use tasktonic_protocol::http::{
    Pause, PauseRequest, PausedUser, Queue, QueueChange, QueueDetail, QueueList, QueueSettings,
    QueueUser, QueueUserChange, Rate, RateChange,
};
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::worker::KindRecord;
use tasktonic_store::limits::USERS_IN_MAX;
use tasktonic_store::{Query, QueryReply, Table, Turns, UserView};

use super::access::{Need, check};
use super::kinds::workers_alive;
use super::operation::{Body, Operation};
use super::read::{Named, out_of_kind};
use super::submit::partition;
use super::{body, settings};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Largest body of a change, in bytes.
const CHANGE_BYTES_MAX: usize = 4 * 1024;
/// Most waiting tasks that may be set.
const WAITING_MAX_MAX: u32 = 10_000_000;
/// Queues asked about at once.
pub(super) const ASKED_MAX: usize = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    let taken = [Code::PayloadTooLarge, Code::MediaTypeUnsupported];
    vec![
        Operation::get("/api/v1/queues", "queues", list)
            .about("Queues, what is set of them, and how many users wait. For operators.")
            .answers(200, "Queues by name.", Body::Json("QueueList")),
        Operation::get("/api/v1/queues/{id}", "queues", get)
            .about("One queue, with the users of whom anything is set there. For operators.")
            .answers(200, "The queue.", Body::Json("QueueDetail"))
            .refuses(&[Code::NotFound]),
        Operation::post("/api/v1/queues/{id}/settings", "queues", set)
            .about("Pauses a queue or lets it go on, and sets what holds for everybody there.")
            .takes(Body::Json("QueueChange"))
            .answers(200, "What holds now, everywhere.", Body::Json("QueueDetail"))
            .refuses(&[Code::NotFound, Code::ChangedMeanwhile])
            .refuses(&taken),
        Operation::post("/api/v1/queues/{id}/users", "queues", set_user)
            .about("Sets what holds for one user in a queue.")
            .takes(Body::Json("QueueUserChange"))
            .answers(200, "What holds now.", Body::Json("QueueUser"))
            .refuses(&[Code::NotFound])
            .refuses(&taken),
        Operation::get("/api/v1/users/{id}/pause", "people", paused)
            .about("Whether all work of a user is paused. For operators.")
            .answers(200, "Whether it is.", Body::Json("Pause")),
        Operation::post("/api/v1/users/{id}/pause", "people", pause)
            .about("Stops or goes on handing out a user's tasks, in whatever queue.")
            .takes(Body::Json("PauseRequest"))
            .answers(200, "Whether it is paused now.", Body::Json("Pause"))
            .refuses(&taken),
        Operation::get("/api/v1/me/pause", "people", my_pause)
            .about("Whether all your work is paused.")
            .answers(200, "Whether it is.", Body::Json("Pause")),
        Operation::post("/api/v1/me/pause", "people", pause_me)
            .about("Stops or goes on handing out your own tasks. What runs goes on.")
            .takes(Body::Json("PauseRequest"))
            .answers(200, "Whether it is paused now.", Body::Json("Pause"))
            .refuses(&taken),
    ]
}

/// The queue in an address.
fn queue_of(text: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|_| Refusal::not_found())
}

/// A user as somebody names them: by id, or by the subject that the id is of.
pub(super) fn user_of(text: &str) -> UserId {
    text.parse().unwrap_or_else(|_| UserId::encode(text))
}

/// Asks every partition the same.
async fn everywhere(app: &App, query: Query) -> Result<Vec<QueryReply>, Refusal> {
    let ask = |p| app.store.read(PartitionId(p), query.clone());
    let answers = join_all((0..app.store.partitions()).map(ask)).await;
    answers.into_iter().map(|answer| answer.map_err(Refusal::from)).collect()
}

/// How many users wait in each of these queues, over all partitions.
pub(super) async fn turns(app: &App, names: &[Name]) -> Result<Vec<Turns>, Refusal> {
    let mut sums = Vec::with_capacity(names.len());
    for names in names.chunks(ASKED_MAX) {
        let mut some = vec![Turns::default(); names.len()];
        for reply in everywhere(app, Query::Turns { queues: names.to_vec() }).await? {
            let QueryReply::Turns(of) = reply else { return Err(out_of_kind()) };
            for (sum, one) in some.iter_mut().zip(of) {
                sum.users += one.users;
                sum.held_back += one.held_back;
                if let Some(running) = one.running {
                    *sum.running.get_or_insert(0) += running;
                }
            }
        }
        sums.extend(some);
    }
    Ok(sums)
}

/// Kinds by the queue that their tasks wait in, and queues that tasks of theirs may wait in because of
/// labels: those that the kinds say, and those of workers.
pub(super) struct Known {
    pub(super) kinds: BTreeMap<Name, Vec<String>>,
    labelled: BTreeSet<Name>,
}

impl Known {
    /// The kinds whose tasks wait in a queue, with whatever labels.
    pub(super) fn kinds_in(&self, queue: &Name) -> Vec<String> {
        self.kinds.get(&queue.plain()).cloned().unwrap_or_default()
    }
}

pub(super) async fn known(app: &App) -> Result<Known, Refusal> {
    let mut known = Known { kinds: BTreeMap::new(), labelled: BTreeSet::new() };
    let workers = workers_alive(app).await?;
    for entry in app.store.registry().list(Table::Kinds).await? {
        // One record that cannot be read must not hide the others.
        let Ok(record) = serde_json::from_str::<KindRecord>(&entry.value) else { continue };
        let Ok(queue) = record.queue.parse::<Name>() else { continue };
        let needs = Labels::new(&record.needs).unwrap_or_default();
        known.labelled.insert(queue.with_labels(&needs));
        for worker in workers.iter().filter(|worker| worker.kinds.contains(&record.kind)) {
            known.labelled.extend(queue.served_with(&worker.has()));
        }
        known.kinds.entry(queue).or_default().push(record.kind);
    }
    Ok(known)
}

fn shown(name: &Name, kinds: Vec<String>, settings: QueueSettings, turns: Turns) -> Queue {
    Queue {
        queue: name.to_string(),
        kinds,
        settings,
        users_waiting: turns.users,
        users_held_back: turns.held_back,
        // While a change is carried, some partitions count already or still.
        running_total: turns.running.filter(|_| settings.running_total_max.is_some()),
    }
}

async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<QueueList>, Refusal> {
    check(&caller, Need::ReadLimits)?;
    let (known, wanted) = (known(&app).await?, settings::wanted(&app).await?);
    let set = wanted.queues.keys().filter_map(|name| name.parse().ok());
    let always: BTreeSet<Name> = known.kinds.keys().cloned().chain(set).collect();
    let names: Vec<Name> = always.union(&known.labelled).cloned().collect();
    let turns = turns(&app, &names).await?;
    // Of the many that labels could make, those where somebody waits.
    let is_shown = |(name, turns): &(&Name, Turns)| {
        always.contains(*name) || turns.users + turns.held_back > 0
    };
    let queues = names.iter().zip(turns).filter(is_shown).map(|(name, turns)| {
        let settings = wanted.queues.get(name.as_str()).copied().unwrap_or_default();
        shown(name, known.kinds_in(name), settings, turns)
    });
    let mut list = QueueList { queues: queues.collect(), ..QueueList::default() };
    for reply in everywhere(&app, Query::Paused { limit: USERS_IN_MAX }).await? {
        let QueryReply::Paused(users, more) = reply else { return Err(out_of_kind()) };
        list.paused_users.extend(users.iter().map(|(user, by)| PausedUser {
            user: user.to_string(),
            by_user: by.own,
            by_operator: by.operator,
        }));
        list.more_paused_users |= more;
    }
    list.paused_users.sort_by(|a, b| a.user.cmp(&b.user));
    list.more_paused_users |= list.paused_users.len() > USERS_IN_MAX as usize;
    list.paused_users.truncate(USERS_IN_MAX as usize);
    Ok(Json(list))
}

async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<QueueDetail>, Refusal> {
    check(&caller, Need::ReadLimits)?;
    Ok(Json(detail(&app, &queue_of(&name)?).await?))
}

async fn detail(app: &App, name: &Name) -> Result<QueueDetail, Refusal> {
    let kinds = known(app).await?.kinds_in(name);
    let wanted = settings::wanted(app).await?.queues.get(name.as_str()).copied();
    let turns = turns(app, std::slice::from_ref(name)).await?.pop().unwrap_or_default();
    let mut users: Vec<(UserId, UserSettings)> = Vec::new();
    let mut more_users = false;
    let query = Query::UsersIn { queue: name.clone(), limit: USERS_IN_MAX };
    for reply in everywhere(app, query).await? {
        let QueryReply::UsersIn(found) = reply else { return Err(out_of_kind()) };
        users.extend(found.users);
        more_users |= found.more;
    }
    users.sort_by(|a, b| a.0.cmp(&b.0));
    more_users |= users.len() > USERS_IN_MAX as usize;
    users.truncate(USERS_IN_MAX as usize);
    Ok(QueueDetail {
        queue: shown(name, kinds, wanted.unwrap_or_default(), turns),
        users: users.iter().map(|(user, settings)| shown_user(user, settings)).collect(),
        more_users,
    })
}

fn shown_user(user: &UserId, settings: &UserSettings) -> QueueUser {
    let UserSettings { weight, paused, waiting_max, running_max, rate } = *settings;
    let rate = rate.map(shown_rate);
    QueueUser { user: user.to_string(), weight, paused, waiting_max, running_max, rate }
}

pub(super) fn shown_rate(Limit { tasks, per_ms, burst }: Limit) -> Rate {
    Rate { tasks, per_ms, burst }
}

/// What is wrong with one member, said where a form has its field.
fn wrong(pointer: &str, detail: String) -> Refusal {
    let error = FieldError { pointer: pointer.to_owned(), detail: detail.clone() };
    Refusal::bad_request(detail).with_errors(vec![error])
}

/// Whether limits are numbers that may be set.
fn check_limits(
    waiting_max: Option<Option<u32>>,
    running: [(&str, Option<Option<u32>>); 2],
    rates: [(&str, Option<Option<RateChange>>); 2],
) -> Result<(), Refusal> {
    if waiting_max.flatten().is_some_and(|max| max > WAITING_MAX_MAX) {
        let text = format!("`waiting_max` is a number from 0 to {WAITING_MAX_MAX}, or null.");
        return Err(wrong("/waiting_max", text));
    }
    // None at all would be a pause that does not say so.
    for (name, max) in running {
        if max.flatten().is_some_and(|max| !(1..=RUNNING_MAX_MAX).contains(&max)) {
            let text = format!(
                "`{name}` is a number from 1 to {RUNNING_MAX_MAX}, or null. To start nothing, set \
                 `paused`."
            );
            return Err(wrong(&format!("/{name}"), text));
        }
    }
    for (of, rate) in rates {
        let Some(RateChange { tasks, per_ms, burst }) = rate.flatten() else { continue };
        let bounds = [
            ("tasks", tasks, RATE_TASKS_MAX),
            ("per_ms", per_ms, RATE_PER_MS_MAX),
            ("burst", burst.unwrap_or(1), RATE_BURST_MAX),
        ];
        for (name, number, max) in bounds {
            if !(1..=max).contains(&number) {
                let text = format!("`{name}` of a `{of}` is a number from 1 to {max}.");
                return Err(wrong(&format!("/{of}/{name}"), text));
            }
        }
    }
    Ok(())
}

/// A rate as it holds: after a rest as many as in its whole time, unless it says otherwise.
fn rate_of(asked: RateChange) -> Rate {
    let RateChange { tasks, per_ms, burst } = asked;
    Rate { tasks, per_ms, burst: burst.unwrap_or(tasks) }
}

async fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
    request: Request,
) -> Result<Json<QueueDetail>, Refusal> {
    check(&caller, Need::ChangeLimits)?;
    let name = queue_of(&name)?;
    let (parts, content) = request.into_parts();
    let asked: QueueChange = body::read(&app, &caller, &parts, content, CHANGE_BYTES_MAX).await?;
    let running =
        [("running_max", asked.running_max), ("running_total_max", asked.running_total_max)];
    let rates = [("rate", asked.rate), ("rate_total", asked.rate_total)];
    check_limits(asked.waiting_max, running, rates)?;
    settings::change(&app, &name, |before| QueueSettings {
        paused: asked.paused.unwrap_or(before.paused),
        waiting_max: asked.waiting_max.unwrap_or(before.waiting_max),
        running_max: asked.running_max.unwrap_or(before.running_max),
        rate: asked.rate.map_or(before.rate, |rate| rate.map(rate_of)),
        running_total_max: asked.running_total_max.unwrap_or(before.running_total_max),
        rate_total: asked.rate_total.map_or(before.rate_total, |rate| rate.map(rate_of)),
        turns: asked.turns.unwrap_or(before.turns),
    })
    .await?;
    Ok(Json(detail(&app, &name).await?))
}

async fn set_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named,
    request: Request,
) -> Result<Json<QueueUser>, Refusal> {
    check(&caller, Need::ChangeLimits)?;
    let queue = queue_of(&name)?;
    let (parts, content) = request.into_parts();
    let asked: QueueUserChange =
        body::read(&app, &caller, &parts, content, CHANGE_BYTES_MAX).await?;
    let running = [("running_max", asked.running_max), ("running_total_max", None)];
    check_limits(asked.waiting_max, running, [("rate", asked.rate), ("rate_total", None)])?;
    if asked.weight.is_some_and(|weight| !(1..=WEIGHT_MAX).contains(&weight)) {
        let text = format!("`weight` is a number from 1 to {WEIGHT_MAX}.");
        return Err(wrong("/weight", text));
    }
    if asked.user.is_empty() {
        return Err(wrong("/user", "`user` names whom it is set of.".to_owned()));
    }
    let user = user_of(&asked.user);
    let before = view(&app, &user, vec![queue.clone()]).await?.settings;
    let before = before.first().copied().unwrap_or_default();
    let settings = UserSettings {
        weight: asked.weight.unwrap_or(before.weight),
        paused: asked.paused.unwrap_or(before.paused),
        waiting_max: asked.waiting_max.unwrap_or(before.waiting_max),
        running_max: asked.running_max.unwrap_or(before.running_max),
        rate: asked.rate.map_or(before.rate, |rate| {
            let Rate { tasks, per_ms, burst } = rate_of(rate?);
            Some(Limit { tasks, per_ms, burst })
        }),
    };
    let control = Control::User { queue, user: user.clone(), settings };
    app.store.control(partition(&app, &user), control).await?;
    Ok(Json(shown_user(&user, &settings)))
}

pub(super) async fn view(app: &App, user: &UserId, queues: Vec<Name>) -> Result<UserView, Refusal> {
    let query = Query::User { user: user.clone(), queues };
    match app.store.read(partition(app, user), query).await? {
        QueryReply::User(view) => Ok(view),
        _ => Err(out_of_kind()),
    }
}

async fn is_paused(app: &App, user: &UserId) -> Result<Json<Pause>, Refusal> {
    let pauses = view(app, user, Vec::new()).await?.pauses;
    let (by_user, by_operator) = (pauses.own, pauses.operator);
    Ok(Json(Pause { paused: pauses.any(), by_user, by_operator }))
}

async fn set_pause(
    app: &App,
    caller: &Caller,
    user: UserId,
    by: By,
    request: Request,
) -> Result<Json<Pause>, Refusal> {
    let (parts, content) = request.into_parts();
    let asked: PauseRequest = body::read(app, caller, &parts, content, CHANGE_BYTES_MAX).await?;
    let control = Control::Pause { user: user.clone(), by, paused: asked.paused };
    app.store.control(partition(app, &user), control).await?;
    is_paused(app, &user).await
}

async fn paused(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(user): Named,
) -> Result<Json<Pause>, Refusal> {
    check(&caller, Need::ReadLimits)?;
    is_paused(&app, &user_of(&user)).await
}

async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(user): Named,
    request: Request,
) -> Result<Json<Pause>, Refusal> {
    check(&caller, Need::ChangeLimits)?;
    set_pause(&app, &caller, user_of(&user), By::Operator, request).await
}

async fn my_pause(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Pause>, Refusal> {
    check(&caller, Need::ReadTasks)?;
    is_paused(&app, &caller.0.user).await
}

async fn pause_me(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Pause>, Refusal> {
    check(&caller, Need::ChangeTasks)?;
    let user = caller.0.user.clone();
    set_pause(&app, &caller, user, By::Owner, request).await
}
