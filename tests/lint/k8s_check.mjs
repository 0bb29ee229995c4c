// Checks rendered Kubernetes manifests without a cluster: schemas (kubernetes-models), fields that no type knows (their TypeScript types with
// tsc), and our own rules for what runs there. argv: tools/npm/node_modules, a folder for temporary files, a JSON file with a list of
//   {"documents": "rendered.yaml", "secrets": [names that are made outside], "calls": {caller: [callees]}, "pinned": true, "types": true}
// Prints a list of complaints for each, as JSON.
import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';

const [modules, folder, optionsFile] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/`));
const {parseAllDocuments} = require('yaml');

async function check(options) {
const complaints = [];
const documents = parseAllDocuments(readFileSync(options.documents, 'utf8')).map((document) => {
  for (const error of document.errors) complaints.push(`YAML: ${error.message}`);
  return document.toJS();
}).filter(Boolean);
const nameOf = (d) => `${d.kind}/${d.metadata?.name}`;
const say = (d, text) => complaints.push(`${nameOf(d)}: ${text}`);

// Which package has the models of a group. Groups without any are operators' own; only our rules see them.
const PACKAGES = {
  'cert-manager.io': '@kubernetes-models/cert-manager',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};
const WITHOUT_MODELS = ['postgresql.cnpg.io', 'barmancloud.cnpg.io'];

function modelOf(d) {
  const group = d.apiVersion.includes('/') ? d.apiVersion.split('/')[0] : '';
  if (WITHOUT_MODELS.includes(group)) return null;
  return `${PACKAGES[group] ?? 'kubernetes-models'}/${d.apiVersion}/${d.kind}`;
}

async function schemas() {
  for (const d of documents) {
    const model = modelOf(d);
    if (!model) continue;
    const file = join(modules, `${model}.js`);
    if (!existsSync(file)) {
      say(d, `there is no ${d.apiVersion} ${d.kind}`);
      continue;
    }
    try {
      new (await import(pathToFileURL(file)))[d.kind](d).validate();
    } catch (error) {
      say(d, `schema: ${error.message}`);
    }
  }
}

function types() {
  const lines = [];
  const places = [];
  documents.forEach((d, i) => {
    const model = modelOf(d);
    if (!model || !existsSync(join(modules, `${model}.js`))) return;
    lines.push(`import type {I${d.kind} as T${i}} from ${JSON.stringify(model)}; export const d${i}: T${i} = ${JSON.stringify(d)};`);
    places.push(d);
  });
  mkdirSync(folder, {recursive: true});
  if (!existsSync(join(folder, 'node_modules'))) symlinkSync(modules, join(folder, 'node_modules'));
  writeFileSync(join(folder, 'documents.ts'), lines.join('\n') + '\n');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {strict: true, noEmit: true, skipLibCheck: true, module: 'esnext', moduleResolution: 'bundler', target: 'es2022', types: [], preserveSymlinks: true},
    files: ['documents.ts'],
  }));
  try {
    execFileSync(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', folder, '--pretty', 'false'], {cwd: folder, encoding: 'utf8', stdio: 'pipe'});
  } catch (error) {
    for (const line of String(error.stdout).split('\n')) {
      const match = /documents\.ts\((\d+),\d+\): error (.*)/.exec(line);
      if (match) say(places[match[1] - 1], `type: ${match[2].slice(0, 300)}`);
      else if (/error/.test(line)) complaints.push(`tsc: ${line}`);
    }
  }
}

// ---- our own rules ----
const byKind = (...kinds) => documents.filter((d) => kinds.includes(d.kind));
const matches = (selector, labels) => Object.entries(selector?.matchLabels ?? {}).every(([k, v]) => labels?.[k] === v) && !(selector?.matchExpressions?.length);
const workloads = byKind('Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob');
const templateOf = (d) => (d.kind === 'CronJob' ? d.spec.jobTemplate.spec.template : d.spec.template);
const labelsOf = (d) => templateOf(d).metadata?.labels;
// What an operator makes: the pods of a database.
const operated = byKind('Cluster').map((d) => ({cluster: d, labels: {...d.spec.inheritedMetadata?.labels, 'cnpg.io/cluster': d.metadata.name, 'cnpg.io/instanceRole': 'primary'},
  ports: {postgresql: 5432}}));

function pods() {
  const maps = new Set(byKind('ConfigMap').map((d) => d.metadata.name));
  const secrets = new Set([...options.secrets, ...byKind('Secret').map((d) => d.metadata.name), ...byKind('Certificate').map((d) => d.spec.secretName)]);
  const accounts = new Set(byKind('ServiceAccount').map((d) => d.metadata.name));
  for (const d of workloads) {
    const template = templateOf(d);
    const pod = template.spec;
    const serves = d.kind === 'Deployment' || d.kind === 'StatefulSet';
    if (d.spec.selector && !matches(d.spec.selector, template.metadata.labels)) say(d, 'its selector does not match its own pods');
    if (pod.automountServiceAccountToken !== false) say(d, 'gets a token of the cluster that it does not need: automountServiceAccountToken: false');
    if (!accounts.has(pod.serviceAccountName)) say(d, `there is no ServiceAccount ${pod.serviceAccountName}`);
    const security = pod.securityContext ?? {};
    if (security.runAsNonRoot !== true || !(security.runAsUser > 0)) say(d, 'may run as root');
    if (security.seccompProfile?.type !== 'RuntimeDefault') say(d, 'has no seccomp profile');
    if (pod.hostNetwork || pod.hostPID || pod.hostIPC) say(d, "shares the node's namespaces");
    const volumes = new Map((pod.volumes ?? []).map((volume) => [volume.name, volume]));
    for (const volume of volumes.values()) {
      if (volume.hostPath) say(d, `mounts the node's ${volume.hostPath.path}`);
      if (volume.configMap && !maps.has(volume.configMap.name)) say(d, `there is no ConfigMap ${volume.configMap.name}`);
      if (volume.secret && !secrets.has(volume.secret.secretName)) say(d, `nobody makes the Secret ${volume.secret.secretName}`);
      if (volume.emptyDir && !volume.emptyDir.sizeLimit) say(d, `${volume.name} may fill the node's disk`);
    }
    for (const c of [...(pod.initContainers ?? []), ...pod.containers]) {
      const own = c.securityContext ?? {};
      if (own.allowPrivilegeEscalation !== false || own.readOnlyRootFilesystem !== true || !own.capabilities?.drop?.includes('ALL') || own.privileged) {
        say(d, `${c.name} is not restricted: allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities`);
      }
      const {requests, limits} = c.resources ?? {};
      if (!requests?.cpu || !requests?.memory || limits?.memory !== requests?.memory) say(d, `${c.name}: CPU and memory must be asked for, and memory limited to just that`);
      if (limits?.cpu) say(d, `${c.name} would be throttled by its CPU limit`);
      if (options.pinned && (!/:[^/]+$/.test(c.image) || /:latest$/.test(c.image))) say(d, `${c.image} names no version`);
      const ports = new Map((c.ports ?? []).map((port) => [port.name, port.containerPort]));
      for (const kind of serves ? ['startupProbe', 'readinessProbe', 'livenessProbe'] : []) {
        const target = c[kind] && (c[kind].httpGet ?? c[kind].tcpSocket ?? c[kind].grpc);
        if (!target) say(d, `${c.name} has no ${kind}`);
        else if (!ports.has(target.port) && ![...ports.values()].includes(target.port)) say(d, `${kind} asks the port ${target.port}, which ${c.name} does not have`);
      }
      for (const mount of c.volumeMounts ?? []) if (!volumes.has(mount.name)) say(d, `${c.name} mounts ${mount.name}, which is no volume`);
      for (const [one, other] of pairs((c.volumeMounts ?? []).map((mount) => mount.mountPath))) {
        if (other.startsWith(one + '/')) say(d, `${other} is mounted inside of ${one}`);
      }
      configured(d, pod, c, volumes, ports);
    }
    if (serves && d.spec.strategy?.type !== 'Recreate' && d.spec.strategy?.rollingUpdate?.maxUnavailable !== 0) say(d, 'takes pods away before new ones are ready');
  }
}

function pairs(values) {
  return values.flatMap((one) => values.filter((other) => other !== one).map((other) => [one, other]));
}

// What the process is told must be what the pod has: ports, files, time to drain.
function configured(d, pod, c, volumes, ports) {
  const volume = volumes.get('config');
  const map = volume?.configMap && documents.find((one) => one.kind === 'ConfigMap' && one.metadata.name === volume.configMap.name);
  for (const [file, text] of Object.entries(map?.data ?? {})) {
    if (!file.endsWith('.json')) continue;
    const config = JSON.parse(text);
    for (const [key, port] of [['listen', ports.has('http') ? 'http' : 'grpc'], ['health_listen', 'health'], ['metrics_listen', 'metrics']]) {
      if (config[key] && Number(config[key].split(':').pop()) !== ports.get(port)) say(d, `${file} says ${key} ${config[key]}, the port ${port} is ${ports.get(port)}`);
    }
    const mounts = (c.volumeMounts ?? []).map((mount) => mount.mountPath);
    const walk = (value) => {
      if (value && typeof value === 'object') Object.values(value).forEach(walk);
      else if (typeof value === 'string' && value.startsWith('/etc/') && !mounts.some((mount) => value.startsWith(mount + '/'))) say(d, `${file} names ${value}, which is not mounted`);
    };
    walk(config);
    if (config.drain_wait_seconds !== undefined && !(pod.terminationGracePeriodSeconds >= config.drain_wait_seconds + 30 + 5)) {
      say(d, 'is killed before its calls can end: terminationGracePeriodSeconds must be drain_wait_seconds + 35');
    }
    if (!c.args?.some((arg) => arg.includes(`/${file}`))) say(d, `is not told of ${file}`);
  }
}

function references() {
  for (const d of byKind('Service')) {
    if (!d.spec.selector) continue;
    const selector = {matchLabels: d.spec.selector};
    const chosen = workloads.filter((one) => one.kind === 'Deployment' && matches(selector, labelsOf(one)));
    const database = operated.filter((one) => matches(selector, one.labels));
    if (chosen.length + database.length === 0) say(d, 'selects no pod');
    for (const port of d.spec.ports) {
      const has = (one) => templateOf(one).spec.containers.some((c) => c.ports?.some((p) => p.name === port.targetPort || p.containerPort === port.targetPort));
      if (!chosen.every(has) || !database.every((one) => port.targetPort in one.ports)) say(d, `leads to the port ${port.targetPort}, which its pods do not have`);
    }
  }
  const named = new Set(workloads.map(nameOf));
  for (const d of byKind('HorizontalPodAutoscaler', 'ScaledObject')) {
    const target = d.spec.scaleTargetRef;
    if (!named.has(`${target.kind ?? 'Deployment'}/${target.name}`)) say(d, `scales ${target.name}, which is not there`);
  }
  for (const d of byKind('Deployment')) {
    const scaled = byKind('HorizontalPodAutoscaler', 'ScaledObject').filter((one) => one.spec.scaleTargetRef.name === d.metadata.name);
    if (scaled.length > 1) say(d, 'is scaled by two');
    if (d.spec.replicas === 1) continue;  // one by design, e.g. Redis
    if (!byKind('PodDisruptionBudget').some((one) => matches(one.spec.selector, labelsOf(d)))) say(d, 'has no PodDisruptionBudget: a drain may take all of it');
    if (scaled.length === 0) say(d, 'is scaled by nothing');
  }
  for (const d of byKind('PodDisruptionBudget')) if (!workloads.some((one) => matches(d.spec.selector, labelsOf(one)))) say(d, 'guards no pod');
  for (const d of byKind('HTTPRoute', 'GRPCRoute')) {
    for (const to of d.spec.rules.flatMap((rule) => rule.backendRefs ?? [])) {
      const service = byKind('Service').find((one) => one.metadata.name === to.name);
      if (!service?.spec.ports.some((port) => port.port === to.port)) say(d, `leads to ${to.name}:${to.port}, which is not there`);
    }
  }
  const seen = new Set();
  for (const d of documents) {
    const name = `${d.apiVersion} ${nameOf(d)} ${d.metadata.namespace ?? ''}`;
    if (seen.has(name)) say(d, 'is there twice');
    seen.add(name);
    if (d.metadata.labels?.['app.kubernetes.io/part-of'] !== 'crm' && d.kind !== 'ConfigMap') say(d, 'lacks the label app.kubernetes.io/part-of: crm');
  }
  for (const d of byKind('Namespace')) if (d.metadata.labels['pod-security.kubernetes.io/enforce'] !== 'restricted') say(d, 'admits pods that are not restricted');
}

function network() {
  const policies = byKind('NetworkPolicy');
  const denies = policies.find((d) => !Object.keys(d.spec.podSelector).length && !d.spec.ingress?.length && !d.spec.egress?.length && d.spec.policyTypes.length === 2);
  if (!denies) complaints.push('NetworkPolicy: nothing denies what is not allowed');
  const of = (labels) => policies.filter((d) => matches(d.spec.podSelector, labels) && Object.keys(d.spec.podSelector).length);
  for (const d of policies) {
    if (Object.keys(d.spec.podSelector).length && ![...workloads.map(labelsOf), ...operated.map((one) => one.labels)].some((labels) => matches(d.spec.podSelector, labels))) {
      say(d, 'is about no pod');
    }
  }
  for (const d of workloads) if (!of(labelsOf(d)).length) say(d, 'has no NetworkPolicy: it can reach nothing but names');
  const allows = (rules, side, labels, port) => (rules ?? []).some((rule) =>
    (!rule.ports || rule.ports.some((one) => one.port === port)) && (!rule[side] || rule[side].some((peer) => peer.podSelector && !peer.namespaceSelector && matches(peer.podSelector, labels))));
  const reach = (from, to, port) => {
    if (!of(from.labels).some((d) => allows(d.spec.egress, 'to', to.labels, port))) complaints.push(`NetworkPolicy/${from.name}: does not let it call ${to.name}:${port}`);
    if (!of(to.labels).some((d) => allows(d.spec.ingress, 'from', from.labels, port))) complaints.push(`NetworkPolicy/${to.name}: does not let ${from.name} in at ${port}`);
  };
  const part = (name) => {
    const found = workloads.find((d) => d.metadata.name === name);
    return found && {name, labels: labelsOf(found)};
  };
  for (const [caller, callees] of Object.entries(options.calls)) {
    for (const callee of callees) {
      const from = part(caller), to = part(callee);
      if (!from || !to) complaints.push(`${caller} calls ${callee}: one of them is not there`);
      else reach(from, to, 7100);
    }
  }
  for (const d of workloads) {
    const from = {name: d.metadata.name, labels: labelsOf(d)};
    const map = documents.find((one) => one.kind === 'ConfigMap' && templateOf(d).spec.volumes?.some((volume) => volume.configMap?.name === one.metadata.name));
    const config = Object.entries(map?.data ?? {}).filter(([file]) => file.endsWith('.json')).map(([, text]) => JSON.parse(text))[0] ?? {};
    for (const [what, port] of [['postgres', 5432], ['redis', 6379]]) {
      if (!config[what]) continue;
      const service = byKind('Service').find((one) => one.metadata.name === config[what].host);
      const selector = {matchLabels: service?.spec.selector};
      const to = [...operated, ...workloads.map((one) => ({labels: labelsOf(one)}))].find((one) => service && matches(selector, one.labels));
      if (!to) complaints.push(`${from.name}: there is no ${what}`);
      else reach(from, {name: what, labels: to.labels}, port);
    }
  }
}

await schemas();
if (options.types) types();
pods();
references();
network();
return complaints.map((line) => line.replaceAll('\n', ' '));
}

const found = [];
for (const options of JSON.parse(readFileSync(optionsFile))) found.push(await check(options));
process.stdout.write(JSON.stringify(found) + '\n');
