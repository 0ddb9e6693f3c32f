// Talks to a server with the official client and asserts what comes: node client.js URL WHAT
'use strict';
const assert = require('node:assert');
const path = require('node:path');
const { createRequire } = require('node:module');
const OpenAI = createRequire(path.join(process.env.SLUICE_OPENAI_JS, 'here.js'))('openai');

const [url, what] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
const hello = { model: 'small', messages: [{ role: 'user', content: 'Say hello.' }],
                temperature: 0, max_tokens: 8 };
const weather = { type: 'function', function: { name: 'get_weather', parameters: {
  type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'] } } };

const checks = {
  async chat() {
    const done = await client.chat.completions.create({ ...hello, n: 2, seed: 3, temperature: 1 });
    assert.strictEqual(done.choices.length, 2);
    assert.ok(done.choices[0].message.content);
    assert.ok(done.usage.prompt_tokens > 0 && done.usage.prompt_tokens_details.cached_tokens >= 0);
    assert.ok(done._request_id.startsWith('req_'));
  },
  async stream() {
    const stream = await client.chat.completions.create(
      { ...hello, stream: true, stream_options: { include_usage: true } });
    let text = '', usage = null, finish = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.ok(text && finish && usage.completion_tokens > 0);
    const runner = client.chat.completions.stream(hello);  // puts a stream together itself
    const whole = await runner.finalChatCompletion();
    assert.ok(whole.choices[0].message.content);
  },
  async tools() {
    const runner = client.chat.completions.stream({
      ...hello, max_tokens: 80, tools: [weather], tool_choice: 'required',
      messages: [{ role: 'user', content: 'Weather in Paris?' }] });
    const done = await runner.finalChatCompletion();
    const [call] = done.choices[0].message.tool_calls;
    assert.strictEqual(call.function.name, 'get_weather');
    assert.ok('city' in JSON.parse(call.function.arguments));
    const answer = await client.chat.completions.create({ ...hello, messages: [
      { role: 'user', content: 'Weather in Paris?' }, done.choices[0].message,
      { role: 'tool', tool_call_id: call.id, content: 'sunny' }] });
    assert.ok(answer.choices[0].message.content);
  },
  async structured() {
    const done = await client.chat.completions.create({ ...hello, max_tokens: 60,
      response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: {
        type: 'object', properties: { color: { enum: ['red', 'green'] } }, required: ['color'],
        additionalProperties: false } } } });
    assert.ok(['red', 'green'].includes(JSON.parse(done.choices[0].message.content).color));
  },
  async completions() {
    const done = await client.completions.create(
      { model: 'small', prompt: ['One', 'Two'], max_tokens: 3, logprobs: 1 });
    assert.strictEqual(done.choices.length, 2);
    assert.strictEqual(done.choices[1].logprobs.tokens.length, 3);
    let text = '';
    for await (const chunk of await client.completions.create(
      { model: 'small', prompt: 'Once upon a', max_tokens: 3, stream: true })) {
      text += chunk.choices[0].text;
    }
    assert.ok(text);
  },
  async embeddings() {
    const packed = await client.embeddings.create({ model: 'small', input: 'a cat' });
    const plain = await client.embeddings.create(
      { model: 'small', input: 'a cat', encoding_format: 'float' });
    assert.strictEqual(packed.data[0].embedding.length, plain.data[0].embedding.length);
    assert.ok(Math.abs(packed.data[0].embedding[0] - plain.data[0].embedding[0]) < 1e-4);
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.deepStrictEqual(ids, ['small']);
    assert.strictEqual((await client.models.retrieve('small')).object, 'model');
  },
  async errors() {
    await assert.rejects(client.chat.completions.create({ ...hello, model: 'gpt-9' }),
                         OpenAI.NotFoundError);
    await assert.rejects(client.chat.completions.create({ ...hello, temperature: 9 }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.strictEqual(error.param, 'temperature');
      return true;
    });
    await assert.rejects(client.chat.completions.create(
      { ...hello, messages: [{ role: 'user', content: 'word '.repeat(5000) }] }), (error) => {
      assert.strictEqual(error.code, 'context_length_exceeded');
      return true;
    });
  },
  async abort() {
    const stream = await client.chat.completions.create(
      { ...hello, max_tokens: 500, stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      break;  // the client closes its connection
    }
  },
};

checks[what]().then(() => console.log(`${what} good`), (error) => {
  console.error(error);
  process.exit(1);
});
