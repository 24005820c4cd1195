//! What the runtime tells by itself.

use orch_core::id::TaskId;
use orch_core::runtime::{ContainerEvent, RuntimeEvent};

use super::Conductor;
use super::entry::{Entry, Heard};

/// What is told of a task's containers during one step, at most; beyond, they are looked at.
const TOLD: usize = 32;

impl Conductor {
    pub(super) fn take_event(&mut self, event: RuntimeEvent) {
        match event {
            RuntimeEvent::Changed(event) => {
                let known = || {
                    let holds = |entry: &Entry| entry.containers.iter().any(|c| c.id == event.container);
                    self.tasks.iter().find(|(_, entry)| holds(entry)).map(|(task, _)| *task)
                };
                match event.task.or_else(known) {
                    Some(task) => self.hear(task, &event),
                    None => self.look(None, event.container),
                }
            }
            RuntimeEvent::Reconnected => {
                self.runtime.was_away = true;
                self.forgive();
                self.runtime.forget_list(); // one that is under way may be of before
                self.list();
            }
            RuntimeEvent::Unreachable(why) => self.runtime_is_away(&why),
        }
    }

    /// Takes in what was told of a task's container, now or after the step that is under way.
    pub(super) fn hear(&mut self, task: TaskId, event: &ContainerEvent) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return self.look(Some(task), event.container.clone());
        };
        if entry.busy.is_some() {
            if entry.told.len() < TOLD {
                entry.told.push(event.clone());
            } else {
                entry.dirty.insert(event.container.clone());
            }
            return;
        }
        let heard = entry.hear(event);
        match heard {
            Heard::Nothing => return,
            Heard::News | Heard::End => {
                // What is told between the runtime's return and the list that follows may be what happened meanwhile.
                entry.memory.pardon |= heard == Heard::End && self.runtime.was_away;
                entry.changed_at = self.tick;
                self.queue.insert(task);
            }
            Heard::Unclear => self.look(Some(task), event.container.clone()),
        }
        if heard == Heard::End {
            self.ask_details(task, event.container.clone());
        }
    }
}
