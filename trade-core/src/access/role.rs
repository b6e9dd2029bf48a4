use crate::resource::words;

words! {
    /// What a caller does in the network.
    Role {
        /// Reads what touches its stations.
        Viewer = "viewer",
        /// Initiates trades that its stations sell, and cancels those to or from them.
        Trader = "trader",
        /// Tracks the shipments to or from its stations, and so completes trades.
        Carrier = "carrier",
        /// Adjusts the stock of its stations, and sends transfers from them.
        Stockkeeper = "stockkeeper",
        /// Reads everything, of all stations.
        Auditor = "auditor",
        /// Does and reads everything.
        Admin = "admin",
    }
}
