//! Taking commands that wait, up to so many lines.

use super::Pending;
use tokio::sync::mpsc;

/// A command with those that wait behind it, up to so many lines.
pub(super) fn gather(
    first: Pending,
    queue: &mut mpsc::UnboundedReceiver<Pending>,
    room: u32,
) -> Vec<Pending> {
    let room = room.saturating_sub(first.lines);
    let mut commands = vec![first];
    commands.extend(waiting(queue, room));
    commands
}

/// The lines of all of them.
pub(super) fn lines(commands: &[Pending]) -> u32 {
    commands.iter().map(|pending| pending.lines).fold(0, u32::saturating_add)
}

/// Those that wait, up to so many lines.
pub(super) fn waiting(queue: &mut mpsc::UnboundedReceiver<Pending>, room: u32) -> Vec<Pending> {
    let (mut lines, mut commands) = (0, Vec::new());
    while lines < room
        && let Ok(next) = queue.try_recv()
    {
        lines += next.lines;
        commands.push(next);
    }
    commands
}
