// The clinic's score line; `tuning.room.clinic` says its format and reads it.

import { crc32, hex } from "./sealed.mjs";

// As `tuning.room.validators` has it: letters, digits and their marks, in any script.
const NAME =
  /^[\p{L}\p{N}](?!.*[\p{Mn}\p{Mc}]{7})(?:(?:[\p{L}\p{N}\p{Mn}\p{Mc}_ .'\u2019\u00b7\u30fb-]|(?<=[\p{L}\p{N}\p{Mn}\p{Mc}])[\u200c\u200d]){0,38}[\p{L}\p{N}\p{Mn}\p{Mc}_.'\u2019])?$/u;

/** A group's name as it may travel: single blanks, "" for none, null where it cannot be used. */
export function cleanName(typed) {
  const name = typed.normalize("NFC").trim().split(/\s+/u).join(" ");
  return name === "" || NAME.test(name) ? name : null;
}

/** Eight hexadecimal digits that tell visitors apart and say nothing about them. */
export function newVisitor() {
  return hex(crypto.getRandomValues(new Uint8Array(4)));
}

/** One line for `{ visitor, name, answers }`; an answer is item, round, cause, dial, confidence, truth, dial good or not. */
export function scoreLine({ visitor, name, answers }) {
  const record = { k: visitor, n: name, a: answers };
  const body = hex(new TextEncoder().encode(JSON.stringify(record)));
  const start = `W6C1-${body.length}-${body}`;
  return `${start}-${crc32(start)}-END`;
}
