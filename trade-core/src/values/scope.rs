use super::{InvalidValue, StationId};
use std::sync::Arc;

/// A set of at most 1 000 stations. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StationSet(Arc<[StationId]>);

impl StationSet {
    /// The most stations of a set.
    pub const COUNT_MAX: usize = 1_000;

    /// The set of these stations; one that comes twice counts once.
    ///
    /// # Errors
    /// [`InvalidValue`] if they are more than [`Self::COUNT_MAX`].
    pub fn new(stations: impl IntoIterator<Item = StationId>) -> Result<Self, InvalidValue> {
        let mut stations: Vec<_> = stations.into_iter().collect();
        stations.sort_unstable();
        stations.dedup();
        if stations.len() > Self::COUNT_MAX {
            return Err(InvalidValue(format!("must hold at most {} stations", Self::COUNT_MAX)));
        }
        Ok(Self(stations.into()))
    }

    /// Whether a station is in it.
    pub fn contains(&self, station: &StationId) -> bool {
        self.0.binary_search(station).is_ok()
    }

    /// The stations, ascending by the bytes of their ids.
    pub fn as_slice(&self) -> &[StationId] {
        &self.0
    }
}

/// The stations that somebody may know of: all, or those of a set. Of an empty set that is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All stations, those that are still to come included.
    #[default]
    All,
    /// These alone.
    Of(StationSet),
}

impl Scope {
    /// No station.
    pub fn nothing() -> Self {
        Self::Of(StationSet(Arc::default()))
    }

    /// The scope of these stations.
    ///
    /// # Errors
    /// As [`StationSet::new`].
    pub fn of(stations: impl IntoIterator<Item = StationId>) -> Result<Self, InvalidValue> {
        StationSet::new(stations).map(Self::Of)
    }

    /// Whether a station is in it.
    pub fn contains(&self, station: &StationId) -> bool {
        self.set().is_none_or(|set| set.contains(station))
    }

    /// Whether one of some stations is in it.
    pub fn touches<'s>(&self, stations: impl IntoIterator<Item = &'s StationId>) -> bool {
        self.set().is_none_or(|set| stations.into_iter().any(|station| set.contains(station)))
    }

    /// The set; none where it is of all stations.
    pub fn set(&self) -> Option<&StationSet> {
        match self {
            Self::All => None,
            Self::Of(set) => Some(set),
        }
    }

    /// The stations that are in both.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) => other.clone(),
            (_, Self::All) => self.clone(),
            (Self::Of(set), Self::Of(other)) => {
                let both = set.0.iter().filter(|station| other.contains(station));
                Self::Of(StationSet(both.cloned().collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(n: usize) -> StationId {
        StationId::new(format!("s-{n}")).unwrap()
    }

    #[test]
    fn a_set_holds_each_station_once_and_a_thousand_at_most() {
        let twice = StationSet::new([station(2), station(1), station(2)]).unwrap();
        assert_eq!(twice.as_slice(), [station(1), station(2)]);
        assert!(StationSet::new((0..1_000).map(station)).is_ok());
        assert!(StationSet::new((0..1_001).map(station)).is_err());
    }

    #[test]
    fn an_empty_scope_is_nothing_and_never_everything() {
        let (nothing, some) = (Scope::nothing(), Scope::of([station(1), station(2)]).unwrap());
        assert!(!nothing.contains(&station(1)) && !nothing.touches([&station(1)]));
        assert!(Scope::All.contains(&station(1)) && Scope::All.touches([]));
        assert_eq!(some.within(&nothing), nothing);
        assert_eq!(nothing.within(&some), nothing);
        assert_eq!(nothing.within(&Scope::All), nothing);
        assert_eq!(Scope::All.within(&some), some);
        assert_eq!(
            some.within(&Scope::of([station(2), station(3)]).unwrap()),
            Scope::of([station(2)]).unwrap()
        );
    }
}
