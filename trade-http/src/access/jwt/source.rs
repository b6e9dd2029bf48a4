//! Where the keys of an issuer come from, and how they stay as new as there.

#[cfg(feature = "jwks-url")]
use super::fetch::Fetch;
use super::had::{BYTES_MAX, JwksError};
use super::keyset::KeySet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Where they are.
#[derive(Debug)]
pub(super) enum Place {
    File(PathBuf),
    #[cfg(feature = "jwks-url")]
    Url(Box<Fetch>),
}

/// How often a place is asked.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// While all is well.
    usually: Duration,
    /// For a key that is not known.
    for_unknown: Duration,
    /// Where nothing was had of it yet.
    at_first: Duration,
}

impl Place {
    fn pace(&self) -> Pace {
        let seconds = Duration::from_secs;
        match self {
            Self::File(_) => Pace { usually: seconds(2), for_unknown: seconds(2), at_first: seconds(2) },
            #[cfg(feature = "jwks-url")]
            Self::Url(_) => Pace { usually: seconds(300), for_unknown: seconds(60), at_first: seconds(5) },
        }
    }

    /// Whether it may keep somebody waiting.
    fn is_slow(&self) -> bool {
        match self {
            Self::File(_) => false,
            #[cfg(feature = "jwks-url")]
            Self::Url(_) => true,
        }
    }

    async fn read(&self) -> Result<Vec<u8>, JwksError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(path)).await;
                read.map_err(|error| JwksError(format!("the file was not read: {error}")))?
            }
            #[cfg(feature = "jwks-url")]
            Self::Url(fetch) => fetch.get().await,
        }
    }
}

fn read_file(path: PathBuf) -> Result<Vec<u8>, JwksError> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(&path).and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| JwksError(format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

/// The keys of an issuer, as they were had last.
#[derive(Debug)]
pub(super) struct Source {
    place: Place,
    set: RwLock<Option<Arc<KeySet>>>,
    /// When they were asked for last, and whether that went well. Whoever asks holds it.
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    failed: Option<JwksError>,
}

impl Source {
    pub(super) fn new(place: Place) -> Self {
        Self { place, set: RwLock::default(), asked: Mutex::default() }
    }

    fn known(&self) -> Option<Arc<KeySet>> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that are known, or else those that can be had now. Where they are old, they are asked for again in the
    /// background: nobody waits for an issuer that is slow.
    ///
    /// # Errors
    /// [`JwksError`] if none was ever had.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, JwksError> {
        let Pace { usually, at_first, .. } = self.place.pace();
        let Some(set) = self.known() else {
            let failed = self.ask_on(at_first).await;
            return self.known().ok_or_else(|| failed.unwrap_or_else(|| JwksError("no keys".into())));
        };
        let is_old = self.asked.try_lock().is_ok_and(|asked| asked.is_older_than(usually));
        if !is_old {
            return Ok(set);
        }
        if !self.place.is_slow() {
            self.ask(usually).await;
            return Ok(self.known().unwrap_or(set));
        }
        let this = self.clone();
        tokio::spawn(async move { this.ask(usually).await });
        Ok(set)
    }

    /// The keys once more, for a token whose key is not among those that are known.
    pub(super) async fn keys_anew(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        self.ask_on(self.place.pace().for_unknown).await;
        self.known()
    }

    /// As [`Self::ask`], to its end, also where whoever waits for it leaves: otherwise a caller who hangs up would keep the
    /// others from new keys.
    async fn ask_on(self: &Arc<Self>, interval: Duration) -> Option<JwksError> {
        let this = self.clone();
        let asked = tokio::spawn(async move { this.ask(interval).await }).await;
        asked.unwrap_or_else(|error| Some(JwksError(format!("the keys were not asked for: {error}"))))
    }

    /// Asks for the keys, unless that was done so recently; what went wrong last, if it did. What is known is kept then.
    async fn ask(&self, interval: Duration) -> Option<JwksError> {
        let mut asked = self.asked.lock().await;
        if !asked.is_older_than(interval) {
            return asked.failed.clone();
        }
        asked.at = Some(Instant::now());
        let read = self.place.read().await.and_then(|bytes| {
            let is_small = bytes.len() <= BYTES_MAX;
            let set = KeySet::parse(&bytes).filter(|_| is_small);
            set.ok_or_else(|| {
                JwksError("what was had is no set of keys (JWKS) that tokens can be checked by".into())
            })
        });
        let failed = match read {
            Ok(set) => {
                if asked.failed.is_some() {
                    tracing::info!("the keys of tokens are had again");
                }
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(set));
                None
            }
            Err(error) => {
                // News only where it changes.
                if asked.failed.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the keys of tokens cannot be had; those that are known are kept");
                }
                Some(error)
            }
        };
        asked.failed.clone_from(&failed);
        failed
    }
}

impl Asked {
    fn is_older_than(&self, interval: Duration) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= interval)
    }
}
