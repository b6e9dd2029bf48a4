// The walk-through of the README, by a client that is generated of the description.

import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './network.js';

const baseUrl = process.argv[2];
assert(baseUrl, 'the address of a server is missing');
const network = createClient<paths>({ baseUrl });

// Two stations, one of them with stock.
const items = [{ itemId: 'fuel', quantity: 100 }];
const ceres = await network.POST('/api/inventory', { body: { stationId: 'ceres', name: 'Ceres Station', items } });
assert.equal(ceres.response.status, 201);
assert.equal(ceres.data?.inventory.quantity, 100);
const vesta = await network.POST('/api/inventory', { body: { stationId: 'vesta' } });
assert.equal(vesta.data?.inventory.itemCount, 0);

// More stock comes in, once.
for (const replayed of [null, 'true']) {
  const more = await network.PATCH('/api/inventory/{stationId}', {
    params: { path: { stationId: 'ceres' }, header: { 'Idempotency-Key': 'delivery-1' } },
    body: { adjustments: [{ itemId: 'fuel', delta: 20, reason: 'received' }] },
  });
  assert.equal(more.data?.inventory.items[0]?.onHand, 120);
  assert.equal(more.response.headers.get('Idempotency-Replayed'), replayed);
}

// A trade that settles on delivery.
const traded = await network.POST('/api/trades', {
  body: {
    transactionId: 'T-1', seller: 'ceres', buyer: 'vesta', settlement: 'on_delivery',
    items: [{ itemId: 'fuel', quantity: 30, unitPrice: { amount: '2.50', currency: 'GBP' } }],
  },
});
assert.equal(traded.data?.trade.status, 'initiated');

// Its cargo leaves, and arrives; with that the trade is completed.
const path = { shipmentId: 'shipment-T-1' };
const sent = await network.PATCH('/api/cargo/{shipmentId}', {
  params: { path }, body: { status: 'in_transit', location: 'Docking bay 4' },
});
assert.equal(sent.data?.cargo.version, 2);
const arrived = await network.PATCH('/api/cargo/{shipmentId}', { params: { path }, body: { status: 'delivered' } });
assert.equal(arrived.data?.trade?.status, 'completed');
const trade = await network.GET('/api/trades/{transactionId}', { params: { path: { transactionId: 'T-1' } } });
assert.deepEqual(trade.data?.trade.totals, [{ amount: '75.00', currency: 'GBP' }]);
const stock = await network.GET('/api/inventory/{stationId}', { params: { path: { stationId: 'vesta' } } });
assert.equal(stock.data?.inventory.quantity, 30);

// What cannot be: more than there is.
const refused = await network.POST('/api/trades', {
  body: { transactionId: 'T-2', seller: 'ceres', buyer: 'vesta', items: [{ itemId: 'fuel', quantity: 1000 }] },
});
const problem: components['schemas']['Problem'] | undefined = refused.error;
assert.equal(problem?.code, 'insufficient-stock');
assert.equal(problem?.shortages?.[0]?.available, 90);

// Where the fuel went, and everything that happened.
const ledger = await network.GET('/api/inventory/{stationId}/ledger', { params: { path: { stationId: 'ceres' } } });
assert.equal(ledger.data?.entries[0]?.from, 'station/ceres');
const updates = await network.GET('/api/updates', { params: { query: { after: 0, limit: 3 } } });
assert.equal(updates.data?.nextAfter, 3);
for (const event of updates.data?.events ?? []) {
  // The type of an event says what it carries.
  if (event.type === 'inventoryUpdated') assert.equal(event.data.inventory.stationId, event.subject.split('/')[1]);
}
const listed = await network.GET('/api/trades', { params: { query: { station: 'ceres', status: 'completed' } } });
assert.equal(listed.data?.trades.length, 1);
console.log('the generated client walked through');
