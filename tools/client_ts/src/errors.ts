// Errors as the API tells them: a status, a reason for programs, the fields that are wrong, when to come back.
import type { components } from "./schema.js";

export interface Violation {
  field: string;
  description: string;
}

export class CrmError extends Error {
  override readonly name = "CrmError";

  constructor(
    message: string,
    /** Of HTTP; 0 if there was no answer. */
    readonly status: number,
    /** "NOT_FOUND". */
    readonly code: string,
    /** "RECORD_NOT_FOUND"; the reasons are an enum of the API. */
    readonly reason: string,
    readonly violations: Violation[] = [],
    readonly metadata: Record<string, string> = {},
    /** Quote it when asking for help. */
    readonly requestId = "",
    /** How long to wait before the next try, in milliseconds; none: trying again does not help by itself. */
    readonly retryDelay?: number,
  ) {
    super(message);
  }

  /** From the body of an answer that is not OK, whatever it is. */
  static of(body: unknown, status: number, requestId = ""): CrmError {
    const error = (body as Partial<components["schemas"]["Error"]> | undefined)?.error;
    if (typeof error?.message !== "string") return new CrmError(`the answer is ${status} and says nothing`, status, "UNKNOWN", "UNKNOWN", [], {}, requestId);
    const details = error.details ?? [];
    const info = details.find(detail => detail.reason);
    const delay = details.find(detail => detail.retry_delay)?.retry_delay;
    const id = details.find(detail => detail.request_id)?.request_id;
    return new CrmError(error.message, status, error.status, info?.reason ?? error.status, details.flatMap(detail => detail.field_violations ?? []),
                        info?.metadata ?? {}, id ?? requestId, delay === undefined ? undefined : Number.parseFloat(delay) * 1000);
  }
}

/** Waits, unless the signal ends it. */
export function pause(milliseconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const end = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
  });
}
