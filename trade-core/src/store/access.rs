/// What whoever opens a store means to do with it. Every store that keeps its content takes one when it is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// To read and to write. Where there is no network one is made; an older schema is brought up to date.
    #[default]
    Migrate,
    /// To read and to write what is there. Where there is no network, or an older schema, the store is refused as
    /// [`Unsupported`](super::StoreErrorKind::Unsupported): for users who may change rows, and make no tables.
    Existing,
    /// To read alone. Nothing is made or changed, and what may not be written will do: a backup, a replica, a user who
    /// may only read. What would write is refused as [`Unsupported`](super::StoreErrorKind::Unsupported), and so is the
    /// store itself where there is no network, or an older schema.
    ReadOnly,
}

impl Access {
    /// Whether the schema is made and brought up to date.
    pub fn may_migrate(self) -> bool {
        self == Self::Migrate
    }

    /// Whether anything is written at all.
    pub fn may_write(self) -> bool {
        self != Self::ReadOnly
    }
}
