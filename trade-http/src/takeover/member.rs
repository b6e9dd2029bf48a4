//! A stream at its writer.

use super::chunk::{self, Frame, Sent};
use crate::access::leases::LeaseState;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use trade_core::resource::Sequence;

/// A stream at its writer.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) socket: Arc<TcpStream>,
    /// None where nothing ends it.
    pub(super) login: Option<LeaseState>,
    pub(super) released: oneshot::Sender<Released>,
    /// The position it came with, which may be ahead of its writer's.
    pub(super) from: Sequence,
    /// The tick of its last write.
    pub(super) spoke: u64,
}

impl Member {
    /// Writes what is new to it.
    ///
    /// # Errors
    /// Why it can be a member no longer.
    pub(super) fn write(&mut self, frames: &[Frame], tick: u64) -> Result<(), Released> {
        let new = &frames[frames.partition_point(|frame| frame.sequence <= self.from)..];
        if new.is_empty() {
            return Ok(());
        }
        self.send(new, tick)
    }

    /// Writes a comment, if it was silent for long. `position` is what every member has seen.
    pub(super) fn show_life(
        &mut self,
        position: Sequence,
        silent_since: u64,
        tick: u64,
    ) -> Result<(), Released> {
        if self.spoke > silent_since {
            return Ok(());
        }
        let comment = Frame::comment(position.max(self.from));
        self.send(std::slice::from_ref(&comment), tick)
    }

    fn send(&mut self, frames: &[Frame], tick: u64) -> Result<(), Released> {
        match chunk::send(&self.socket, frames) {
            Ok(Sent::All) => {
                self.spoke = tick;
                Ok(())
            }
            Ok(Sent::Until { position, rest }) => Err(Released::Behind { position, rest }),
            Err(error) => Err(Released::Failed(error)),
        }
    }

    /// Goes on as long as its reader may read.
    ///
    /// # Errors
    /// Where it may no longer.
    pub(super) fn check_login(&self) -> Result<(), Released> {
        let is_over = self.login.as_ref().is_some_and(LeaseState::is_over);
        if is_over { Err(Released::Over) } else { Ok(()) }
    }

    pub(super) fn release(self, why: Released) {
        // Where nobody waits any more, the client has left.
        let _ = self.released.send(why);
    }
}

/// Why a stream goes on by itself.
#[derive(Debug)]
pub(super) enum Released {
    /// Its socket has no room, or it was too late: it goes on with the rest of a frame, then after a position.
    Behind { position: Sequence, rest: Bytes },
    /// The application ends, or the login of its reader has.
    Over,
    /// Its socket failed.
    Failed(io::Error),
}
