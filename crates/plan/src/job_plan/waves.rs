//! A plan as waves: for engines that cannot run a state machine but can run many tasks at once, wave after wave. It
//! runs nothing.

use std::collections::BTreeMap;

use crate::{Plan, Task, TaskId};

/// Returns the tasks of a plan in waves: a task reads only what earlier waves make, and comes as early as it can. All
/// tasks of a wave may run at the same time. Each task is in exactly one wave, and no wave is empty.
///
/// In a plan, a task comes after those that it reads from; a task that does not would be put too early.
pub fn waves(plan: &Plan) -> Vec<Vec<&Task>> {
    let mut wave_of: BTreeMap<&TaskId, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<&Task>> = Vec::new();
    for task in &plan.tasks {
        let wave = task.after().filter_map(|before| wave_of.get(before)).max().map_or(0, |last| last + 1);
        wave_of.insert(&task.id, wave);
        if waves.len() == wave {
            waves.push(Vec::new());
        }
        waves[wave].push(task);
    }
    waves
}
