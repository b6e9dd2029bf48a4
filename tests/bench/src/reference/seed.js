// A trade by Express and Mongoose: seed.js PORT URI. What the application did that this one replaces: the trade is
// stored and answered; a listener then stores its shipment and changes the inventories of buyer and seller, each write
// on its own. Nothing is checked, and nothing is undone where one of them fails.
'use strict';
const { EventEmitter } = require('node:events');
const express = require('express');
const mongoose = require('mongoose');

const [port, uri] = process.argv.slice(2);
const stations = 1000, openingUnits = 1e9, leadTime = 7 * 24 * 60 * 60 * 1000;

const { Schema, model } = mongoose;
const key = { type: String, required: true, unique: true };
const station = { type: String, required: true };
const items = { type: [Schema.Types.Mixed], required: true };
const Trade = model('Trade', new Schema(
  { transactionId: key, buyer: station, seller: station, items, status: { type: String, default: 'initiated' } },
  { timestamps: true }));
const Cargo = model('Cargo', new Schema({
  shipmentId: key, origin: station, destination: station, items, status: { type: String, default: 'pending' }, ETA: Date,
}));
const Inventory = model('Inventory', new Schema({ stationId: key, items, quantity: { type: Number, default: 0 } }));

const events = new EventEmitter();
const running = new Set();
let failed = 0;

async function deliver({ transactionId, seller, buyer, items }) {
  const ETA = new Date(Date.now() + leadTime);
  await Cargo.create({ shipmentId: `shipment-${transactionId}`, origin: seller, destination: buyer, items, ETA });
  await Inventory.updateOne(
    { stationId: buyer }, { $addToSet: { items: { $each: items } }, $inc: { quantity: items.length } });
  await Inventory.updateOne(
    { stationId: seller }, { $pullAll: { items }, $inc: { quantity: -items.length } });
}

events.on('tradeInitiated', (trade) => {
  const delivery = deliver(trade).catch((error) => {
    failed += 1;
    console.error(error.message);
  }).finally(() => running.delete(delivery));
  running.add(delivery);
});

const app = express();
app.use(express.json());
app.post('/api/trades', async (request, response) => {
  const { transactionId, buyer, seller, items } = request.body;
  const trade = await Trade.create({ transactionId, buyer, seller, items: items.map(({ itemId }) => itemId) });
  events.emit('tradeInitiated', trade);
  response.status(201).json({ message: 'Trade initiated successfully', trade });
});
// Answers when the listener has nothing left to do.
app.get('/api/settled', async (request, response) => {
  while (running.size > 0) await Promise.all(running);
  response.status(failed === 0 ? 200 : 500).json({ failed });
});

async function start() {
  await mongoose.connect(uri);
  await Promise.all([Trade, Cargo, Inventory].map((model) => model.init()));
  await Inventory.insertMany(Array.from({ length: stations },
    (_, number) => ({ stationId: `station-${number}`, items: [], quantity: openingUnits })));
  app.listen(Number(port), '127.0.0.1');
}
start();
