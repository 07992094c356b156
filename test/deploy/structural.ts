/**
 * Whether the schema of a CustomResourceDefinition is structural, as apiextensions.k8s.io/v1 demands: each node has a type outside of
 * anyOf and the like, and these only add conditions. A server says the same at admission; this needs none.
 */
export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly [key: string]: unknown;
}

export interface CustomResourceDefinition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly subresources: unknown;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

const LOGICAL = ['allOf', 'anyOf', 'oneOf'] as const;
const ONLY_OUTSIDE = ['type', 'description', 'default', 'additionalProperties', 'nullable', 'x-kubernetes-preserve-unknown-fields'];
const FORBIDDEN = ['$ref', 'definitions', 'dependencies', 'deprecated', 'discriminator', 'id', 'patternProperties', 'readOnly', 'writeOnly', 'xml'];

/** What a server takes at the root of a schema with a status of its own; of this the part that we could write. */
const AT_ROOT = ['type', 'description', 'required', 'properties', 'x-kubernetes-preserve-unknown-fields'];

export function complaintsAboutRoot(schema: Schema): string[] {
  return Object.keys(schema).filter((key) => !AT_ROOT.includes(key)).map((key) => `${key} is not allowed at the root beside a status`);
}

export function complaintsAboutSchema(schema: Schema, at = ''): string[] {
  const complaints = FORBIDDEN.filter((key) => key in schema).map((key) => `${at}: ${key} is not allowed`);
  if (typeof schema.type !== 'string') complaints.push(`${at}: has no type`);
  if (schema.type === 'array' && schema.items === undefined) complaints.push(`${at}: has no items`);
  for (const logic of LOGICAL) {
    const alternatives = (schema[logic] ?? []) as readonly Schema[];
    complaints.push(...alternatives.flatMap((one, index) => ONLY_OUTSIDE.filter((key) => key in one).map((key) => `${at}.${logic}[${String(index)}]: ${key} belongs outside`)));
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) complaints.push(...complaintsAboutSchema(property, `${at}.${name}`));
  if (schema.items !== undefined) complaints.push(...complaintsAboutSchema(schema.items, `${at}[]`));
  return complaints;
}
