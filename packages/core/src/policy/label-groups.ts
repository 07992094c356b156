/**
 * Pods by their labels, those of namespace, service account and cluster among them: pods of one group are one identity. Kept from
 * compile to compile: a pod that is the very same object, in a namespace whose labels are, is in the group that it was in.
 *
 * Invariant: a group's key says all of its labels. Groups that no pod was asked about since the last `forget` are forgotten.
 */
import type { Labels, PodObject } from './objects.js';
import { type LabelSet, podLabels } from './selector.js';

export interface LabelGroup {
  /** The labels' texts. */
  readonly key: string;
  readonly labels: LabelSet;
}

const NO_LABELS: Labels = {};

export class LabelGroups {
  private readonly known = new WeakMap<PodObject, { readonly namespaceLabels: Labels; readonly group: LabelGroup }>();
  private groups = new Map<string, LabelGroup>();
  private asked = new Map<string, LabelGroup>();

  /** `namespaceLabels`: undefined for a namespace that is not known. */
  of(pod: PodObject, namespaceLabels: Labels = NO_LABELS): LabelGroup {
    const known = this.known.get(pod);
    const group = known?.namespaceLabels === namespaceLabels ? known.group : this.groupOf(podLabels(pod, namespaceLabels));
    if (group !== known?.group || known.namespaceLabels !== namespaceLabels) this.known.set(pod, { namespaceLabels, group });
    this.asked.set(group.key, group);
    return group;
  }

  forget(): void {
    this.groups = this.asked;
    this.asked = new Map();
  }

  private groupOf(labels: LabelSet): LabelGroup {
    const key = labels.texts.join(';');
    return this.asked.get(key) ?? this.groups.get(key) ?? { key, labels };
  }
}
