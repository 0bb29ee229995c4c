// The board's data: pure functions from one board to the next, so that a move can be shown at once and taken back.
import { addMoney } from "./format.js";

export const columnOf = (board, dealId) => board.columns.find((column) => column.deals.some((deal) => deal.id === dealId));
export const dealOf = (board, dealId) => columnOf(board, dealId)?.deals.find((deal) => deal.id === dealId);

function change(board, stageId, edit) {
  return { ...board, columns: board.columns.map((column) => (column.stage_id === stageId ? edit(column) : column)) };
}

// Without the card; counts and sums follow.
export function take(board, dealId) {
  const column = columnOf(board, dealId);
  if (!column) return board;
  const deal = dealOf(board, dealId);
  return change(board, column.stage_id, (old) => ({ ...old, count: old.count - 1, sums: addMoney(old.sums, deal.amount, -1), deals: old.deals.filter((one) => one.id !== dealId) }));
}

// With the card as it is now, on top of its stage; in its old place if it is there already.
export function put(board, deal) {
  const column = columnOf(board, deal.id);
  if (column?.stage_id === deal.stage_id) {
    const old = dealOf(board, deal.id);
    return change(board, deal.stage_id, (same) => ({
      ...same, sums: addMoney(addMoney(same.sums, old.amount, -1), deal.amount, 1), deals: same.deals.map((one) => (one.id === deal.id ? deal : one)),
    }));
  }
  return change(take(board, deal.id), deal.stage_id, (next) => ({ ...next, count: next.count + 1, sums: addMoney(next.sums, deal.amount, 1), deals: [deal, ...next.deals] }));
}

export const move = (board, dealId, stageId) => {
  const deal = dealOf(board, dealId);
  return deal ? put(board, { ...deal, stage_id: stageId }) : board;
};
