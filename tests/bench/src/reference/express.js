// A trade by Express and better-sqlite3: express.js PORT FOLDER. Durable, and no more than a trade needs: the levels of
// both stations, the trade, its shipment, two events, in one transaction.
'use strict';
const path = require('node:path');
const express = require('express');
const Database = require('better-sqlite3');

const [port, folder] = process.argv.slice(2);
const stations = 1000, items = 10, openingUnits = 1e9;

const database = new Database(path.join(folder, 'express.db'));
database.pragma('journal_mode = WAL');
database.pragma('synchronous = FULL');
database.exec(`
  CREATE TABLE inventory (
    station TEXT NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (station, item)
  ) WITHOUT ROWID;
  CREATE TABLE trade (id TEXT PRIMARY KEY, seller TEXT, buyer TEXT, items TEXT, created INTEGER);
  CREATE TABLE shipment (id TEXT PRIMARY KEY, trade TEXT, origin TEXT, destination TEXT, status INTEGER);
  CREATE TABLE event (sequence INTEGER PRIMARY KEY, type TEXT, data TEXT, time INTEGER);
`);
const open = database.prepare('INSERT INTO inventory VALUES (?, ?, ?)');
database.transaction(() => {
  for (let station = 0; station < stations; station++) {
    for (let item = 0; item < items; item++) open.run(`station-${station}`, `item-${item}`, openingUnits);
  }
})();

const take = database.prepare(
  'UPDATE inventory SET quantity = quantity - ? WHERE station = ? AND item = ? AND quantity >= ?');
const give = database.prepare('UPDATE inventory SET quantity = quantity + ? WHERE station = ? AND item = ?');
const addTrade = database.prepare('INSERT INTO trade VALUES (?, ?, ?, ?, ?)');
const addShipment = database.prepare('INSERT INTO shipment VALUES (?, ?, ?, ?, 0)');
const addEvent = database.prepare('INSERT INTO event (type, data, time) VALUES (?, ?, ?)');

const initiate = database.transaction(({ transactionId: id, seller, buyer, items }) => {
  if (seller === buyer) throw new Error('a station cannot trade with itself');
  const now = Date.now();
  for (const { itemId, quantity } of items) {
    if (!(quantity > 0)) throw new Error('a quantity must be positive');
    if (take.run(quantity, seller, itemId, quantity).changes !== 1) throw new Error('the seller has too little');
    if (give.run(quantity, buyer, itemId).changes !== 1) throw new Error('the buyer is unknown');
  }
  const trade = { transactionId: id, seller, buyer, items, status: 'initiated' };
  const shipment = { shipmentId: `shipment-${id}`, origin: seller, destination: buyer, status: 'pending' };
  addTrade.run(id, seller, buyer, JSON.stringify(items), now);
  addShipment.run(shipment.shipmentId, id, seller, buyer);
  addEvent.run('tradeInitiated', JSON.stringify(trade), now);
  addEvent.run('cargoCreated', JSON.stringify(shipment), now);
  return { message: 'Trade initiated successfully', trade, cargo: shipment };
});

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.use(express.json());
app.post('/api/trades', (request, response) => {
  try {
    response.status(201).json(initiate.immediate(request.body));
  } catch (error) {
    response.status(409).json({ error: error.message });
  }
});
app.listen(Number(port), '127.0.0.1');
