//! The tasks of a job as the state machine sees them: which comes after which, and how far each has come.
//!
//! The end of a task costs as much as it has dependants, however many tasks the job has.

use std::collections::BTreeSet;
use std::sync::Arc;

use abanico_plan::TaskId;

/// Which task comes after which. It never changes once the job is planned.
///
/// Tasks are named by their places in the order of their ids.
#[derive(PartialEq, Eq, Debug, Default)]
struct Graph {
    /// The ids in their order.
    ids: Vec<TaskId>,
    /// The tasks that each one comes after, each once.
    after: Vec<Vec<usize>>,
    /// The tasks that come after each one.
    dependants: Vec<Vec<usize>>,
}

/// How far a task has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Running,
    Done,
}

/// All tasks of a job and their states.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    graph: Arc<Graph>,
    states: Vec<State>,
    /// How many of the tasks before it each task still waits for.
    waits_for: Vec<usize>,
    /// How many of its dependants are not done yet.
    wanted_by: Vec<usize>,
    running: usize,
    done: usize,
}

/// Tasks are equal if the same of them are done. What runs is the driver's affair.
impl PartialEq for Tasks {
    fn eq(&self, other: &Self) -> bool {
        self.graph == other.graph && self.done_ranges() == other.done_ranges()
    }
}

impl Eq for Tasks {}

impl Tasks {
    /// Creates tasks from their ids and the ids that each comes after.
    ///
    /// # Errors
    /// Fails if two tasks have the same id, if one comes after a task that does not exist, or if tasks wait for each
    /// other in a circle: some could never begin.
    pub fn new(tasks: impl IntoIterator<Item = (TaskId, Vec<TaskId>)>) -> Result<Self, String> {
        let mut tasks: Vec<(TaskId, Vec<TaskId>)> = tasks.into_iter().collect();
        tasks.sort_by(|one, other| one.0.cmp(&other.0));
        if let Some(same) = tasks.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("two tasks are called `{}`", same[0].0));
        }
        let (ids, before): (Vec<TaskId>, Vec<Vec<TaskId>>) = tasks.into_iter().unzip();
        let mut after = Vec::with_capacity(ids.len());
        let mut dependants = vec![Vec::new(); ids.len()];
        for (place, named) in before.iter().enumerate() {
            let mut places = BTreeSet::new();
            for id in named {
                let missing = || format!("task `{}` comes after `{id}`, which does not exist", ids[place]);
                places.insert(ids.binary_search(id).map_err(|_| missing())?);
            }
            for earlier in &places {
                dependants[*earlier].push(place);
            }
            after.push(places.into_iter().collect::<Vec<usize>>());
        }
        let waits_for = after.iter().map(Vec::len).collect();
        let wanted_by = dependants.iter().map(Vec::len).collect();
        let states = vec![State::Waiting; ids.len()];
        let tasks = Self {
            graph: Arc::new(Graph { ids, after, dependants }),
            states,
            waits_for,
            wanted_by,
            running: 0,
            done: 0,
        };
        match tasks.first_in_a_circle() {
            Some(id) => Err(format!("task `{id}` waits for itself")),
            None => Ok(tasks),
        }
    }

    /// Returns the first task that could never begin, because it waits for itself.
    fn first_in_a_circle(&self) -> Option<&TaskId> {
        let mut trial = self.clone();
        let mut ready = trial.ready();
        while let Some(place) = ready.pop() {
            ready.extend(trial.end_at(place));
        }
        let stuck = trial.states.iter().position(|state| *state != State::Done)?;
        self.graph.ids.get(stuck)
    }

    /// Marks these tasks as done, as [`Self::done_ranges`] returned them. Tasks beyond the last one are left out.
    pub fn with_done(mut self, ranges: &[(usize, usize)]) -> Self {
        let count = self.len();
        for (first, last) in ranges {
            for place in *first..last.saturating_add(1).min(count) {
                self.end_at(place);
            }
        }
        self
    }

    /// Returns the tasks that are done: the places of the first and the last of each unbroken run of them, in the
    /// order of all ids. This is far shorter than their names.
    pub fn done_ranges(&self) -> Vec<(usize, usize)> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for (place, _) in self.states.iter().enumerate().filter(|(_, state)| **state == State::Done) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == place => *last = place,
                _ => ranges.push((place, place)),
            }
        }
        ranges
    }

    /// Returns the number of tasks.
    pub fn len(&self) -> usize {
        self.graph.ids.len()
    }

    /// Returns whether all tasks are done.
    pub fn are_done(&self) -> bool {
        self.done == self.len()
    }

    /// Returns whether any task runs.
    pub fn any_runs(&self) -> bool {
        self.running > 0
    }

    /// Returns whether this task runs.
    pub fn is_running(&self, id: &TaskId) -> bool {
        self.place(id).is_some_and(|place| self.states[place] == State::Running)
    }

    /// Returns the ids of the tasks that are done, in their order.
    pub fn done(&self) -> impl Iterator<Item = &TaskId> {
        self.all().filter_map(|(place, id)| (self.states[place] == State::Done).then_some(id))
    }

    /// Returns all ids in their order, each with the ids that it comes after.
    pub fn with_after(&self) -> impl Iterator<Item = (&TaskId, Vec<&TaskId>)> {
        let before = |place: usize| self.graph.after[place].iter().map(|earlier| &self.graph.ids[*earlier]);
        self.all().map(move |(place, id)| (id, before(place).collect()))
    }

    fn all(&self) -> impl Iterator<Item = (usize, &TaskId)> {
        self.graph.ids.iter().enumerate()
    }

    fn place(&self, id: &TaskId) -> Option<usize> {
        self.graph.ids.binary_search(id).ok()
    }

    fn ready(&self) -> Vec<usize> {
        let is_ready = |place: &usize| self.states[*place] == State::Waiting && self.waits_for[*place] == 0;
        (0..self.len()).filter(is_ready).collect()
    }

    fn ids(&self, places: Vec<usize>) -> Vec<TaskId> {
        places.into_iter().map(|place| self.graph.ids[place].clone()).collect()
    }

    /// Returns the tasks that may begin, in the order of their ids.
    pub fn all_ready(&self) -> Vec<TaskId> {
        self.ids(self.ready())
    }

    /// Returns the tasks whose files nobody needs any more because this one, which read them, is done as well as all
    /// others that did, in the order of their ids.
    pub fn let_go_by(&self, id: &TaskId) -> Vec<TaskId> {
        let place = self.place(id).filter(|place| self.states[*place] == State::Done);
        let read = place.map_or(&[][..], |place| &self.graph.after[place]);
        self.ids(read.iter().copied().filter(|earlier| self.wanted_by[*earlier] == 0).collect())
    }

    /// Returns the tasks that are done and whose files somebody has read, but nobody needs any more, in the order of
    /// their ids.
    pub fn all_let_go(&self) -> Vec<TaskId> {
        let is_let_go = |place: &usize| {
            let is_read = !self.graph.dependants[*place].is_empty();
            is_read && self.wanted_by[*place] == 0 && self.states[*place] == State::Done
        };
        self.ids((0..self.len()).filter(is_let_go).collect())
    }

    /// Notes that a task begins.
    pub fn begin(&mut self, id: &TaskId) {
        if let Some(place) = self.place(id)
            && self.states[place] == State::Waiting
        {
            self.states[place] = State::Running;
            self.running += 1;
        }
    }

    /// Notes that a task runs no more, without being done.
    pub fn halt(&mut self, id: &TaskId) {
        if let Some(place) = self.place(id)
            && self.states[place] == State::Running
        {
            self.states[place] = State::Waiting;
            self.running -= 1;
        }
    }

    /// Notes that a task is done. Returns the tasks that may begin because of it, in the order of their ids.
    pub fn end(&mut self, id: &TaskId) -> Vec<TaskId> {
        let ready = self.place(id).map(|place| self.end_at(place));
        self.ids(ready.unwrap_or_default())
    }

    fn end_at(&mut self, place: usize) -> Vec<usize> {
        match self.states[place] {
            State::Done => return Vec::new(),
            State::Running => self.running -= 1,
            State::Waiting => {}
        }
        self.states[place] = State::Done;
        self.done += 1;
        let mut ready = Vec::new();
        let graph = self.graph.clone();
        for earlier in &graph.after[place] {
            self.wanted_by[*earlier] -= 1;
        }
        for later in &graph.dependants[place] {
            self.waits_for[*later] -= 1;
            if self.waits_for[*later] == 0 && self.states[*later] == State::Waiting {
                ready.push(*later);
            }
        }
        ready
    }
}
